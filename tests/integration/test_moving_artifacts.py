"""Artifacts are moved whole or not at all, on local disks, on S3 and between them."""

from __future__ import annotations

import contextlib
import os
import signal
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.artifacts.files import CHUNK_BYTES
from app.artifacts.local import LocalFiles
from app.artifacts.remote import RemoteFiles
from app.artifacts.store import ArtifactStore
from app.domain.artifacts import ArtifactKind, CopyProof
from app.errors import (
    ArtifactChangedError,
    ArtifactExistsError,
    ArtifactForbiddenError,
    ArtifactNotFoundError,
    BackendUnavailableError,
    InvalidArgumentError,
    InvalidSettingError,
)
from tests.integration.artifacts.dying import POINTS, kept_proof, kill_in_the_middle
from tests.integration.artifacts.places import LocalPlace, Place, S3Place, Tree
from tests.servers.s3 import s3_server

pytestmark = pytest.mark.anyio

TREE: Tree = {
    "MLmodel": b"flavors: {}\n",
    "data/model.pkl": os.urandom(100_000),
    "data/empty": b"",
    "a b/ü%20#?.txt": b"x",
}
PAIRS = ["local-local", "local-s3", "s3-local", "s3-s3"]


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with s3_server() as properties:
        yield properties


@pytest.fixture
def make_place(s3: dict[str, str], tmp_path: Path) -> Callable[[str], Place]:
    """A new, empty place of that kind; all local ones are in one folder."""

    def make(kind: str) -> Place:
        name = uuid.uuid4().hex
        return LocalPlace(tmp_path / "places" / name) if kind == "local" else S3Place(s3, name)

    return make


@pytest.fixture
def store(s3: dict[str, str], tmp_path: Path) -> ArtifactStore:
    (tmp_path / "places").mkdir()
    return ArtifactStore([str(tmp_path / "places"), "s3://lake"], properties=s3)


@pytest.fixture(params=PAIRS)
def places(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> tuple[Place, Place]:
    source, _, target = request.param.partition("-")
    return make_place(source), make_place(target)


async def test_artifact_is_described(store: ArtifactStore, make_place: Callable[[str], Place]) -> None:
    for kind in ("local", "s3"):
        place = make_place(kind)
        place.fill(TREE)

        tree, file = await store.describe(place.uri), await store.describe(f"{place.uri}/MLmodel")

        assert tree.kind is ArtifactKind.DIRECTORY
        assert [(one.path, one.size_bytes) for one in tree.files] == sorted((p, len(c)) for p, c in TREE.items())
        assert tree.total_bytes == sum(map(len, TREE.values()))
        assert (file.kind, [one.path for one in file.files], file.total_bytes) == (ArtifactKind.FILE, [""], 12)


async def test_folder_is_copied_then_removed_and_both_can_be_repeated(
    store: ArtifactStore, places: tuple[Place, Place]
) -> None:
    # given
    source, target = places
    source.fill(TREE)

    # when
    proof = await store.copy(source.uri, target.uri, "churn/7")

    # then the source is as it was, and the copy is the same
    assert source.tree() == TREE
    assert target.tree() == {f"churn/7/{path}": content for path, content in TREE.items()}
    assert proof.copy_uri == f"{target.uri}/churn/7"
    assert (proof.total_bytes, len(proof.files)) == (sum(map(len, TREE.values())), len(TREE))

    # when it is copied again, nothing is written
    before = target.state()
    assert await store.copy(source.uri, target.uri, "churn/7") == proof
    assert target.state() == before

    # when it is removed, twice
    await store.remove(source.uri, proof)
    await store.remove(source.uri, proof)

    # then only the copy is left
    assert source.tree() == {}
    assert target.state() == before
    with pytest.raises(ArtifactNotFoundError):
        await store.describe(source.uri)


async def test_file_is_copied_then_removed(store: ArtifactStore, places: tuple[Place, Place]) -> None:
    source, target = places
    source.fill({"model.pkl": TREE["data/model.pkl"], "other": b"stays"})

    proof = await store.copy(f"{source.uri}/model.pkl", target.uri, "churn/7.pkl")
    assert await store.copy(f"{source.uri}/model.pkl", target.uri, "churn/7.pkl") == proof
    await store.remove(f"{source.uri}/model.pkl", proof)
    await store.remove(f"{source.uri}/model.pkl", proof)

    assert target.tree() == {"churn/7.pkl": TREE["data/model.pkl"]}
    assert source.tree() == {"other": b"stays"}


async def test_empty_folders_are_no_artifact_and_go_with_one(
    store: ArtifactStore, make_place: Callable[[str], Place]
) -> None:
    source, target = make_place("local"), make_place("local")
    folder = Path(source.uri)
    (folder / "a" / "b").mkdir(parents=True)
    with pytest.raises(ArtifactNotFoundError):
        await store.describe(source.uri)
    (folder / "x").write_bytes(b"x")

    await store.remove(source.uri, await store.copy(source.uri, target.uri, "k"))

    assert source.uri not in {entry.path for entry in os.scandir(Path(source.uri).parent)}
    assert target.tree() == {"k/x": b"x"}


@pytest.mark.parametrize("kind", ["local", "s3"])
@pytest.mark.parametrize(
    ("case", "there"),
    [
        ("other content", {"k/MLmodel": b"flavors: []\n"}),
        ("other size", {"k/MLmodel": b"flavors"}),
        ("a file more", {"k/MLmodel": TREE["MLmodel"], "k/note.txt": b"mine"}),
        ("a file instead", {"k": b"mine"}),
        ("a file above", {"k/data": b"mine"}),
    ],
)
async def test_nothing_is_overwritten(
    store: ArtifactStore, make_place: Callable[[str], Place], kind: str, case: str, there: Tree
) -> None:
    source, target = make_place("local"), make_place(kind)
    source.fill(TREE)
    target.fill(there)
    before = target.state()

    with pytest.raises(ArtifactExistsError):
        await store.copy(source.uri, target.uri, "k")

    assert {name: target.state()[name] for name in before} == before
    assert source.tree() == TREE


@pytest.mark.parametrize("kind", ["local", "s3"])
async def test_what_comes_between_is_not_overwritten(
    store: ArtifactStore, make_place: Callable[[str], Place], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given somebody who writes the same file after it was seen that there is none
    source, target = make_place("local"), make_place(kind)
    source.fill({"model": b"ours" * 10})
    read = LocalFiles.read

    def read_late(*arguments: Any) -> Iterator[bytes]:
        if "k" not in target.tree():
            target.fill({"k": b"theirs"})
        yield from read(*arguments)

    monkeypatch.setattr(LocalFiles, "read", read_late)

    # when
    with pytest.raises(ArtifactExistsError):
        await store.copy(f"{source.uri}/model", target.uri, "k")

    # then
    assert target.tree() == {"k": b"theirs"}


@pytest.mark.parametrize("kind", ["local", "s3"])
async def test_copy_that_is_read_back_wrong_is_not_acknowledged_and_not_left(
    store: ArtifactStore, make_place: Callable[[str], Place], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a store that keeps one byte wrong
    source, target = make_place("local"), make_place(kind)
    source.fill({"model": b"x" * 1000})
    if kind == "local":
        write_all = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write_all(fd, b"y" + bytes(data)[1:]))
    else:
        open_ = fsspec.get_filesystem_class("s3").open

        class Wrong:
            def __init__(self, file: Any) -> None:
                self._file = file

            def write(self, chunk: bytes) -> int:
                return int(self._file.write(b"y" + chunk[1:]))

            def __getattr__(self, name: str) -> Any:
                return getattr(self._file, name)

        def open_wrong(fs: Any, path: str, mode: str = "rb", **named: Any) -> Any:
            file = open_(fs, path, mode, **named)
            return file if mode == "rb" else Wrong(file)

        monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "open", open_wrong)

    # when
    with pytest.raises(BackendUnavailableError, match="gave back something else"):
        await store.copy(f"{source.uri}/model", target.uri, "k")

    # then it is as before, and can be tried again
    monkeypatch.undo()
    assert target.tree() == {}
    await store.copy(f"{source.uri}/model", target.uri, "k")
    assert target.tree() == {"k": b"x" * 1000}


@pytest.mark.parametrize(
    ("case", "damage", "error"),
    [
        ("copy gone", lambda _, target: target.clear(), ArtifactNotFoundError),
        ("file of the copy gone", lambda _, target: target.delete("k/MLmodel"), ArtifactChangedError),
        ("file of the copy cut", lambda _, target: target.fill({"k/MLmodel": b"fl"}), ArtifactChangedError),
        ("source written to", lambda source, _: source.fill({"MLmodel": b"FLAVORS: {}\n"}), ArtifactChangedError),
        ("source grown", lambda source, _: source.fill({"new": b"x"}), ArtifactChangedError),
    ],
)
async def test_nothing_is_removed_that_is_not_in_the_copy(
    store: ArtifactStore, places: tuple[Place, Place], case: str, damage: Callable[[Place, Place], None], error: Any
) -> None:
    source, target = places
    source.fill(TREE)
    proof = await store.copy(source.uri, target.uri, "k")
    damage(source, target)
    before = source.tree()

    with pytest.raises(error):
        await store.remove(source.uri, proof)

    assert source.tree() == before


async def test_proof_of_another_artifact_removes_nothing(
    store: ArtifactStore, make_place: Callable[[str], Place]
) -> None:
    source, target = make_place("local"), make_place("local")
    source.fill({"a/x": b"1", "b/x": b"2"})
    proof = await store.copy(f"{source.uri}/a", target.uri, "k")

    with pytest.raises(InvalidArgumentError):
        await store.remove(f"{source.uri}/b", proof)

    assert source.tree() == {"a/x": b"1", "b/x": b"2"}


async def test_source_that_changes_while_it_is_copied_is_told(
    store: ArtifactStore, make_place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = make_place("local"), make_place("local")
    source.fill({"a": b"1", "b": b"2"})
    write = LocalFiles.write

    def write_slowly(*arguments: Any) -> None:
        write(*arguments)
        source.fill({"a": b"3"})

    monkeypatch.setattr(LocalFiles, "write", write_slowly)

    with pytest.raises(ArtifactChangedError):
        await store.copy(source.uri, target.uri, "k")


# --- where it may reach


@pytest.mark.parametrize(
    ("case", "source", "error"),
    [
        ("a file of the server", "file:///etc/passwd", ArtifactForbiddenError),
        ("the same by a path", "/etc/passwd", ArtifactForbiddenError),
        ("another bucket", "s3://other/x", ArtifactForbiddenError),
        ("another store", "gs://lake/x", ArtifactForbiddenError),
        ("in memory", "memory://lake/x", ArtifactForbiddenError),
        ("up and out", "s3://lake/../other/x", InvalidArgumentError),
        ("http", "https://lake/x", InvalidArgumentError),
        ("no scheme there is", "nosuch://lake/x", ArtifactForbiddenError),
        ("relative", "places/x", InvalidArgumentError),
        ("the whole bucket", "s3://lake", ArtifactForbiddenError),
    ],
)
async def test_what_is_outside_the_roots_is_refused_in_each_call(
    store: ArtifactStore, tmp_path: Path, case: str, source: str, error: Any
) -> None:
    file = tmp_path / "places" / "m"
    file.write_bytes(b"x")
    inside = str(file)
    proof = await store.copy(inside, str(tmp_path / "places"), "k")
    forged = CopyProof(source_uri=source, copy_uri=proof.copy_uri, kind=proof.kind, files=proof.files)
    to_outside = CopyProof(source_uri=inside, copy_uri=source, kind=proof.kind, files=proof.files)

    for call in (
        lambda: store.describe(source),
        lambda: store.copy(source, str(tmp_path / "places"), "k2"),
        lambda: store.remove(source, forged),
        lambda: store.remove(inside, to_outside),
    ):
        with pytest.raises(error):
            await call()
    if source != "s3://lake":
        with pytest.raises(error):
            await store.copy(inside, source, "k2")
    assert file.read_bytes() == b"x"


@pytest.mark.parametrize("where", ["source", "below the source", "inside the source", "target"])
async def test_symbolic_links_are_not_followed(store: ArtifactStore, tmp_path: Path, where: str) -> None:
    # given
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "password").write_text("p")
    places = tmp_path / "places"
    (places / "model").mkdir()
    (places / "model" / "x").write_bytes(b"x")
    (places / "link").symlink_to(secret)
    if where == "inside the source":
        (places / "model" / "link").symlink_to(secret / "password")

    # when
    source = {"source": "link", "below the source": "link/password"}.get(where, "model")
    folder = places / ("link" if where == "target" else "cold")
    with pytest.raises((ArtifactForbiddenError, InvalidArgumentError)):
        await store.copy(str(places / source), str(folder), "k")

    # then
    assert [path.name for path in secret.iterdir()] == ["password"]
    assert not (places / "cold" / "k").exists()


async def test_folder_link_inside_the_source_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    places = tmp_path / "places"
    (places / "model").mkdir()
    (places / "model" / "x").write_bytes(b"x")
    (places / "model" / "more").symlink_to(tmp_path)

    with pytest.raises(InvalidArgumentError, match="symbolic link"):
        await store.describe(str(places / "model"))


async def test_root_that_is_itself_a_link_is_one_place_with_what_it_leads_to(tmp_path: Path) -> None:
    # given two roots that are one folder
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "model").write_bytes(b"x")
    store = ArtifactStore([str(tmp_path / "real"), str(tmp_path / "alias")])

    # when
    described = await store.describe(str(tmp_path / "alias" / "model"))
    with pytest.raises(InvalidArgumentError, match="another name"):
        await store.copy(str(tmp_path / "real" / "model"), str(tmp_path / "alias"), "model")

    # then
    assert described.total_bytes == 1
    with pytest.raises(InvalidArgumentError, match="another name"):
        source, copy = (str(tmp_path / name / "model") for name in ("real", "alias"))
        await store.remove(source, CopyProof(source_uri=source, copy_uri=copy, kind=ArtifactKind.FILE, files=()))
    assert (tmp_path / "real" / "model").read_bytes() == b"x"


async def test_object_keys_that_lead_out_of_the_target_are_refused(
    store: ArtifactStore, make_place: Callable[[str], Place], s3: dict[str, str], tmp_path: Path
) -> None:
    source, target = make_place("s3"), make_place("local")
    assert isinstance(source, S3Place)
    source.fill({"x": b"x", "../../../evil": b"evil"})

    with pytest.raises(InvalidArgumentError):
        await store.copy(source.uri, target.uri, "k")

    assert not any("evil" in name for _, _, names in os.walk(tmp_path) for name in names)


@pytest.mark.parametrize(("key"), ["model", "model/k", ""])
async def test_target_in_the_source_is_refused(store: ArtifactStore, tmp_path: Path, key: str) -> None:
    places = tmp_path / "places"
    (places / "model").mkdir()
    (places / "model" / "x").write_bytes(b"x")

    with pytest.raises(InvalidArgumentError):
        await store.copy(str(places / "model"), str(places), key)


async def test_device_is_no_artifact(store: ArtifactStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "places" / "pipe")

    with pytest.raises(InvalidArgumentError, match="neither a file nor a folder"):
        await store.describe(str(tmp_path / "places" / "pipe"))


@pytest.mark.parametrize("root", ["models", "file:x", "s3://", "/a/../b", "http://h/x"])
def test_root_that_is_no_place_is_a_wrong_setting(root: str) -> None:
    with pytest.raises(InvalidSettingError, match="STRATIGRAPH_ARTIFACT_ROOTS"):
        ArtifactStore(["/fine", root])


# --- stores


@pytest.mark.parametrize(
    ("case", "uri"), [("nothing", "s3://lake/nothing/here"), ("no bucket", "s3://nowhere/x"), ("local", "{}/nothing")]
)
async def test_nothing_there_is_told(s3: dict[str, str], tmp_path: Path, case: str, uri: str) -> None:
    store = ArtifactStore([str(tmp_path), "s3://lake", "s3://nowhere"], properties=s3)

    with pytest.raises(ArtifactNotFoundError):
        await store.describe(uri.format(tmp_path))


async def test_bucket_that_is_not_there_is_told_when_it_is_written_to(s3: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"x")
    store = ArtifactStore([str(tmp_path), "s3://nowhere"], properties=s3)

    with pytest.raises(ArtifactNotFoundError, match="nowhere"):
        await store.copy(str(tmp_path / "m"), "s3://nowhere", "k")


async def test_store_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # That clients try again for a while is theirs, and takes seconds
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    closed = {"s3.endpoint": "http://127.0.0.1:9", "s3.access-key-id": "k", "s3.secret-access-key": "s"}
    store = ArtifactStore(["s3://lake"], properties=closed)

    with pytest.raises(BackendUnavailableError):
        await store.describe("s3://lake/x")


async def test_scheme_that_nothing_reaches_is_told(tmp_path: Path) -> None:
    store = ArtifactStore(["nosuch://there"])

    with pytest.raises(InvalidArgumentError, match="nosuch"):
        await store.describe("nosuch://there/x")


async def test_settings_of_s3_are_taken_from_the_environment(
    s3: dict[str, str], make_place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    place = make_place("s3")
    place.fill({"x": b"x"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3["s3.endpoint"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3["s3.access-key-id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3["s3.secret-access-key"])

    # when
    described = await ArtifactStore(["s3://lake"]).describe(place.uri)

    # then
    assert described.total_bytes == 1


async def test_any_file_system_of_fsspec_will_do(tmp_path: Path) -> None:
    store = ArtifactStore([str(tmp_path), "memory://cold"])
    (tmp_path / "model" / "data").mkdir(parents=True)
    (tmp_path / "model" / "data" / "x").write_bytes(b"x")
    (tmp_path / "model" / "empty").write_bytes(b"")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    # What a writer that was killed has left.
    memory.pipe_file("/cold/models/7/data/.x.stratigraph-part", b"half")

    try:
        proof = await store.copy(str(tmp_path / "model"), "memory://cold/models", "7")
        assert await store.copy(str(tmp_path / "model"), "memory://cold/models", "7") == proof
        assert await store.copy(proof.copy_uri, str(tmp_path / "back"), "7")
        await store.remove(str(tmp_path / "model"), proof)
        assert sorted(memory.find("/cold")) == ["/cold/models/7/data/x", "/cold/models/7/empty"]
    finally:
        memory.store.clear()

    assert (tmp_path / "back" / "7" / "data" / "x").read_bytes() == b"x"
    assert not (tmp_path / "model").exists()


async def test_what_only_pyarrow_knows_will_do_too(tmp_path: Path) -> None:
    # pyarrow's own in-memory store, which no package of fsspec has
    store = ArtifactStore([str(tmp_path), "mock://cold"])
    (tmp_path / "m").write_bytes(b"x")

    with pytest.raises(ArtifactNotFoundError):
        await store.describe("mock://cold/x")


# --- size


async def test_memory_does_not_grow_with_the_file(store: ArtifactStore, places: tuple[Place, Place]) -> None:
    # given
    source, target = places
    size = 12 * CHUNK_BYTES
    source.fill({"model": bytes(size)})
    await store.describe(source.uri)

    # when
    tracemalloc.start()
    try:
        proof = await store.copy(f"{source.uri}/model", target.uri, "k")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    # then
    assert proof.total_bytes == size
    assert target.sizes() == {"k": size}
    assert peak < size * 0.9


async def test_cancelled_copy_ends_and_leaves_nothing_half_done(
    store: ArtifactStore, places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    source.fill({"model": bytes(3 * CHUNK_BYTES)})
    begun = anyio.Event()
    chunks_read = []
    files = LocalFiles if isinstance(source, LocalPlace) else RemoteFiles
    read = files.read

    def read_and_tell(*arguments: Any) -> Iterator[bytes]:
        for chunk in read(*arguments):
            chunks_read.append(len(chunk))
            anyio.from_thread.run_sync(begun.set)
            anyio.from_thread.run(anyio.sleep, 0.05)
            yield chunk

    monkeypatch.setattr(files, "read", read_and_tell)

    async with anyio.create_task_group() as group:
        group.start_soon(store.copy, f"{source.uri}/model", target.uri, "k")
        await begun.wait()
        group.cancel_scope.cancel()

    assert len(chunks_read) < 3
    assert target.tree() == {}


# --- any tree

names = st.text(st.characters(categories=["L", "N"], include_characters="._- %#?*[]~+"), min_size=1, max_size=8).filter(
    lambda name: name.strip(".") and len(name.encode()) < 200
)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    paths = draw(st.lists(st.lists(names, min_size=1, max_size=4).map("/".join), min_size=1, max_size=6, unique=True))
    folders = {path[:end] for path in paths for end in range(len(path)) if path[end] == "/"}
    return {path: draw(st.binary(max_size=20)) for path in paths if path not in folders}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees(), cut=st.integers(0, 6))
async def test_any_tree_moves_whole_from_wherever_it_was_cut_off(
    store: ArtifactStore, make_place: Callable[[str], Place], tree: Tree, cut: int
) -> None:
    for source, target in [(make_place(a), make_place(b)) for a, b in (("local", "s3"), ("s3", "local"))]:
        # given a part of the copy from before
        source.fill(tree)
        target.fill({f"k/{path}": content for path, content in list(tree.items())[:cut]})

        # when
        proof = await store.copy(source.uri, target.uri, "k")
        for path in list(tree)[:cut]:
            source.delete(path)
        await store.remove(source.uri, proof)

        # then
        assert target.tree() == {f"k/{path}": content for path, content in tree.items()}
        assert source.tree() == {}
        with contextlib.suppress(ArtifactNotFoundError):
            await store.remove(source.uri, proof)


# --- killed


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("pair", ["local-local", "local-s3", "s3-local"])
async def test_killed_move_is_finished_by_the_next_one(
    store: ArtifactStore, s3: dict[str, str], make_place: Callable[[str], Place], tmp_path: Path, pair: str, point: str
) -> None:
    # given
    source, target = (make_place(kind) for kind in pair.split("-"))
    source.fill(TREE)
    roots = [str(tmp_path / "places"), "s3://lake"]

    # when a process dies there
    exit_code = kill_in_the_middle(roots, s3, source.uri, target.uri, point)

    # then it did, and each file is whole in one of the two places, and none is there in part
    assert exit_code == -signal.SIGKILL
    copied = {
        path.removeprefix("k/"): content for path, content in target.tree().items() if ".stratigraph-part" not in path
    }
    assert {**source.tree(), **copied} == TREE
    assert all(TREE[path] == content for path, content in copied.items())
    if source.tree() != TREE:
        assert copied == TREE, "something was removed before all was copied"
    # and whoever repeats it with what is known comes to the end
    if source.tree() == TREE:
        proof = await store.copy(source.uri, target.uri, "k")
    else:
        proof = kept_proof(roots)
    await store.remove(source.uri, proof)
    assert target.tree() == {f"k/{path}": content for path, content in TREE.items()}
    assert source.tree() == {}
    if isinstance(source, LocalPlace):
        assert not source.folder.exists()
