"""Which paths are one file, and which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.file_keys import FileKeys
from app.errors import UnsupportedTableError

LOCAL = FileKeys("sales.orders", ["file:///lake/orders"])
S3 = FileKeys("sales.orders", ["s3://bucket/orders", "s3://data/orders"])


@pytest.mark.parametrize(
    "path",
    [
        "file:/lake/a",
        "file:///lake/a",
        "file://localhost/lake/a",
        "/lake/a",
        "FILE:///lake//a",
        "file:///lake/./b/../a",
    ],
)
def test_spellings_of_a_local_file(path: str):
    assert LOCAL.key(path) == "file:///lake/a"


@pytest.mark.parametrize("path", ["s3://bucket/a/b", "s3a://bucket/a/b", "s3n://bucket/a/b", "S3://bucket/a/b"])
def test_spellings_of_an_object(path: str):
    assert S3.key(path) == "s3://bucket/a/b"


@pytest.mark.parametrize("other", ["s3://bucket/a//b", "s3://bucket/a/b/", "s3://bucket/a/./b", "s3://data/a/b"])
def test_other_objects(other: str):
    assert S3.key(other) != S3.key("s3://bucket/a/b")


@pytest.mark.parametrize(
    "path", ["s3://elsewhere/a", "gs://bucket/a", "file:///a", "/a", "ftp://bucket/a", "", "file://host/a"]
)
def test_other_places_are_refused(path: str):
    with pytest.raises(UnsupportedTableError):
        S3.key(path)


def test_other_host_is_refused():
    with pytest.raises(UnsupportedTableError):
        LOCAL.key("file://host/lake/a")


def test_unknown_scheme_of_the_table_is_refused():
    with pytest.raises(UnsupportedTableError):
        FileKeys("sales.orders", ["ftp://host/orders"])


@given(st.text(alphabet="ab/.", max_size=12))
def test_a_key_is_its_own_key(text: str):
    key = LOCAL.key(f"file:///{text}")
    assert LOCAL.key(key) == key
    assert LOCAL.key(f"file:/{text}") == key if not text.startswith("/") else True
