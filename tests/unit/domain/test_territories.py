"""Whose files are where tables lie near each other."""

import pytest

from app.domain.territories import Territories


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("s3://b/lake/orders", "other"),
        ("s3a://b/lake/orders/", "other"),
        ("s3://b/lake/orders/inner", "other"),
        ("s3://b/lake", "other"),
        ("s3://b", "other"),
        ("s3://b/lake/orders_2", None),
        ("s3://b/lake/order", None),
        ("s3://c/lake/orders", None),
    ],
)
def test_overlap(other: str, expected: str | None):
    assert Territories(["s3://b/lake/orders"], {"other": [other]}).find_overlap() == expected


def test_only_the_location_itself_makes_a_twin():
    assert Territories(["file:/x", "file:/data"], {"other": ["file:///x/"]}).find_twin() == "other"
    assert Territories(["file:/x", "file:/data"], {"other": ["file:/y", "file:/data"]}).find_twin() is None


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("file:/lake/ours/data/a", None),
        ("file:///lake/ours/theirs/a", "inner"),
        ("file:/lake/a", "outer"),
        ("file:/elsewhere/a", None),
        ("file:/lake/ours_2/a", "outer"),
    ],
)
def test_the_innermost_location_decides(path: str, owner: str | None):
    found = Territories(["file:/lake/ours"], {"outer": ["file:/lake"], "inner": ["file:/lake/ours/theirs"]})
    assert found.find_owner(path) == owner
