"""URIs of artifacts, judged by their text alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.artifacts import (
    ArtifactKind,
    CopiedFile,
    CopyProof,
    check_apart,
    check_relative,
    check_within_roots,
    parse_location,
)
from app.errors import ArtifactForbiddenError, InvalidArgumentError


@pytest.mark.parametrize(
    ("case", "uri", "normal"),
    [
        ("path", "/data/models/churn", "/data/models/churn"),
        ("slashes", "/data//models/churn/", "/data/models/churn"),
        ("file", "file:///data/churn", "/data/churn"),
        ("short file", "file:/data/churn", "/data/churn"),
        ("file of this host", "FILE://localhost/data/churn", "/data/churn"),
        ("escaped", "file:///data/my%20model%25", "/data/my model%"),
        ("path that is not escaped", "/data/my%20model", "/data/my%20model"),
        ("root", "/", "/"),
        ("bucket", "s3://models", "s3://models"),
        ("bucket with a slash", "s3://models/", "s3://models"),
        ("object", "s3://models/churn/1/model.pkl", "s3://models/churn/1/model.pkl"),
        ("Hadoop's name", "s3a://models/churn", "s3://models/churn"),
        ("older name", "S3N://models/churn", "s3://models/churn"),
        ("key that is not escaped", "s3://models/a%2e%2e/b c", "s3://models/a%2e%2e/b c"),
        ("others", "abfss://c@account.dfs.core.windows.net/x", "abfss://c@account.dfs.core.windows.net/x"),
        ("dots in a name", "s3://m/..a/b..", "s3://m/..a/b.."),
        ("unicode", "/data/módel/東", "/data/módel/東"),
    ],
)
def test_uri_has_one_form(case: str, uri: str, normal: str) -> None:
    location = parse_location(uri, "uri")

    assert location.uri == normal
    assert parse_location(normal, "uri") == location


@pytest.mark.parametrize(
    ("case", "uri"),
    [
        ("nothing", ""),
        ("relative", "models/churn"),
        ("relative file", "file:models/churn"),
        ("relative file with dots", "file:../x"),
        ("home", "~/models"),
        ("file of another host", "file://server/share"),
        ("up", "/data/models/../../etc/passwd"),
        ("up, escaped", "file:///data/%2e%2e/etc/passwd"),
        ("up, slash escaped", "file:///data/..%2fetc/passwd"),
        ("up in a bucket", "s3://models/live/../../other"),
        ("here", "/data/./x"),
        ("empty step in a key", "s3://models//x"),
        ("backslash", "/data/..\\x"),
        ("NUL", "/data/x\0"),
        ("NUL, escaped", "file:///data/x%00"),
        ("line break", "s3://models/x\n"),
        ("no UTF-8", "file:///data/%ff"),
        ("lone surrogate", "/data/\ud800"),
        ("no bucket", "s3:///x"),
        ("no slashes", "s3:models/x"),
        ("http", "http://models/x"),
        ("https", "HTTPS://models/x"),
        ("MLflow's own", "models:/churn/1"),
        ("MLflow's own with slashes", "runs://x/y"),
        ("another name of files", "local://data/x"),
        ("a URI in a URI", "simplecache::file:///etc/passwd"),
        ("an archive in a URI", "zip://x::s3://models/a.zip"),
        ("a URI after an allowed one", "s3://models/x::file:///etc/passwd"),
        ("drive", "C:\\models"),
        ("long", "/" + "x" * 3000),
    ],
)
def test_what_leads_nowhere_certain_is_refused(case: str, uri: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse_location(uri, "uri")

    assert caught.value.fields["argument"] == "uri"


@pytest.mark.parametrize(
    ("case", "uri", "root", "is_allowed"),
    [
        ("below", "/data/models/x", "/data/models", True),
        ("below, written otherwise", "file:///data//models/x", "/data/models/", True),
        ("the root itself", "/data/models", "/data/models", False),
        ("name that begins alike", "/data/models2/x", "/data/models", False),
        ("above", "/data", "/data/models", False),
        ("beside", "/etc/passwd", "/data/models", False),
        ("bucket", "s3a://models/x", "s3://models", True),
        ("prefix", "s3://models/live/x", "s3://models/live/", True),
        ("another prefix", "s3://models/live2/x", "s3://models/live", False),
        ("another bucket", "s3://models2/x", "s3://models", False),
        ("another store", "gs://models/x", "s3://models", False),
        ("path like a bucket", "/models/x", "s3://models", False),
        ("everything local", "/etc/passwd", "/", True),
    ],
)
def test_only_what_is_below_a_root_is_allowed(case: str, uri: str, root: str, is_allowed: bool) -> None:
    location, roots = parse_location(uri, "uri"), [parse_location(root, "root")]

    if is_allowed:
        check_within_roots(location, roots, or_root=False)
    else:
        with pytest.raises(ArtifactForbiddenError, match="STRATIGRAPH_ARTIFACT_ROOTS"):
            check_within_roots(location, roots, or_root=False)


def test_without_roots_nothing_is_allowed() -> None:
    with pytest.raises(ArtifactForbiddenError):
        check_within_roots(parse_location("/x", "uri"), [], or_root=True)


@given(st.lists(st.sampled_from(["..", ".", "a", "etc", "%2e%2e", "", "models"]), max_size=6), st.booleans())
def test_no_path_that_is_taken_leaves_the_root_it_begins_with(steps: list[str], is_uri: bool) -> None:
    uri = ("file://" if is_uri else "") + "/data/models/" + "/".join(steps)

    try:
        location = parse_location(uri, "uri")
    except InvalidArgumentError:
        return

    assert location.is_within(parse_location("/data/models", "root"))
    assert ".." not in location.uri.split("/")


@pytest.mark.parametrize("key", ["", "/x", "../x", "a/../b", "a//b", "a\0", ".", "a\\b"])
def test_key_that_leads_elsewhere_is_refused(key: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_location("s3://cold/models", "folder").joined(key)


def test_key_is_joined_to_a_folder() -> None:
    assert parse_location("s3://cold/models/", "folder").joined("churn/7").uri == "s3://cold/models/churn/7"
    assert parse_location("s3://cold", "folder").joined("churn/").uri == "s3://cold/churn"


@pytest.mark.parametrize(("source", "target"), [("/a/b", "/a/b"), ("/a/b", "/a/b/c"), ("/a/b/c", "/a/b")])
def test_target_that_is_not_apart_is_refused(source: str, target: str) -> None:
    with pytest.raises(InvalidArgumentError):
        check_apart(parse_location(source, "source"), parse_location(target, "target"))


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/x", "x/", "a//b", "a\\b", "."])
def test_name_of_a_file_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        check_relative(path, "artifact")


def test_digest_of_a_tree_is_of_paths_and_contents() -> None:
    def proof(*files: tuple[str, str]) -> CopyProof:
        copied = tuple(CopiedFile(path=path, size_bytes=1, digest=digest, marker="m") for path, digest in files)
        return CopyProof(source_uri="/a", copy_uri="/b", kind=ArtifactKind.DIRECTORY, files=copied)

    assert proof(("x", "1")).digest == proof(("x", "1")).digest
    assert (
        len({proof(*files).digest for files in [[("x", "1")], [("y", "1")], [("x", "2")], [("x", "1"), ("y", "1")]]})
        == 4
    )
