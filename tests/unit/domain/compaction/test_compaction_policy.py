"""What a policy of compaction may be."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.compaction.policy import CompactionPolicy, parse_megabytes
from app.errors import InvalidArgumentError


def test_the_defaults_are_those_that_are_documented() -> None:
    policy = CompactionPolicy()
    assert (policy.target_bytes, policy.min_bytes, policy.candidate_bytes) == (512 * 2**20, 10 * 2**20, 384 * 2**20)
    assert (policy.max_concurrent_files, policy.rewrite_all) == (100, False)


@pytest.mark.parametrize(
    ("changed", "argument"),
    [
        ({"target_file_size_mb": 0}, "targetFileSizeMb"),
        ({"target_file_size_mb": -512}, "targetFileSizeMb"),
        ({"target_file_size_mb": 2**21}, "targetFileSizeMb"),
        ({"target_file_size_mb": 512.0}, "targetFileSizeMb"),
        ({"target_file_size_mb": "512KB"}, "targetFileSizeMb"),
        ({"target_file_size_mb": "0MB"}, "targetFileSizeMb"),
        ({"target_file_size_mb": "9" * 18 + "TB"}, "targetFileSizeMb"),
        ({"target_file_size_mb": b"512MB"}, "targetFileSizeMb"),
        ({"target_file_size_mb": "5MB"}, "minFileSizeMb"),
        ({"target_file_size_mb": 9}, "minFileSizeMb"),
        ({"min_file_size_mb": 0}, "minFileSizeMb"),
        ({"min_file_size_mb": True}, "minFileSizeMb"),
        ({"max_concurrent_files": 1}, "maxConcurrentFiles"),
        ({"rewrite_all": "no"}, "rewriteAll"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(changed: dict[str, Any], argument: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        CompactionPolicy(**changed)
    assert caught.value.fields["argument"] == argument


def test_sizes_may_be_texts_with_a_unit() -> None:
    policy = CompactionPolicy(target_file_size_mb="1GB", min_file_size_mb="20")  # type: ignore[arg-type]
    assert policy == CompactionPolicy(target_file_size_mb=1024, min_file_size_mb=20)
    assert (policy.target_bytes, policy.min_bytes) == (2**30, 20 * 2**20)


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [
        ("512", 512),
        ("512MB", 512),
        (" 512 mb ", 512),
        ("512MiB", 512),
        ("2GB", 2048),
        ("1g", 1024),
        ("1T", 1024**2),
        ("0", 0),
        ("-1", -1),
    ],
)
def test_sizes_are_read_with_their_units(text: str, megabytes: int) -> None:
    assert parse_megabytes("targetFileSizeMb", text) == megabytes


@pytest.mark.parametrize("text", ["", "MB", "1.5GB", "512KB", "512 bytes", "1e3", "٣", "9" * 30])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="512MB"):
        parse_megabytes("targetFileSizeMb", text)
