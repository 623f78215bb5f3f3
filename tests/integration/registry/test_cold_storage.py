"""Archiving moves the artifact: to another disk, or to S3; whoever dies in between loses nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import boto3
import pytest

from app.bootstrap import Services, open_services
from app.errors import ArtifactForbiddenError, ArtifactNotFoundError, InvalidArgumentError
from app.services import model_registration
from app.settings import Settings
from tests.integration.races.dying import die
from tests.integration.races.workers import CONTEXT
from tests.integration.registry.lake import SALES, by_ada, churn, refs_of, trained_on
from tests.lake_tables import Orders
from tests.servers.s3 import s3_server

pytestmark = pytest.mark.anyio

TREE = {"model.joblib": b"weights" * 1000, "notes/readme.txt": b"read me"}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    roots = (str(tmp_path / "live"), str(tmp_path / "cold"), "s3://lake/cold")
    return Settings(home=tmp_path / "home", database_url=database_url, artifact_roots=roots)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "live" / "churn"
    for path, content in TREE.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
async def fresh(settings: Settings, sales: Orders, customers: Orders) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened


def tree_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_an_artifact_moves_to_another_disk(
    services: Services, sales: Orders, artifact: Path, tmp_path: Path
) -> None:
    await services.registration.register(churn(artifact_uri=str(artifact)), [trained_on(SALES, sales.second)], by_ada())

    done = await services.registration.archive("churn", 1, by_ada(), cold_storage_uri=str(tmp_path / "cold"))

    assert done.version.artifact_uri == str(tmp_path / "cold/churn/v1/churn")
    assert tree_of(tmp_path / "cold/churn/v1/churn") == TREE
    assert tree_of(artifact) == {}


async def test_an_artifact_moves_to_s3(services: Services, artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as properties:
        monkeypatch.setenv("AWS_ENDPOINT_URL", properties["s3.endpoint"])
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", properties["s3.access-key-id"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", properties["s3.secret-access-key"])
        monkeypatch.setenv("AWS_DEFAULT_REGION", properties["s3.region"])
        await services.registration.register(churn(artifact_uri=artifact.as_uri()), [], by_ada())

        done = await services.registration.archive("churn", 1, by_ada(), cold_storage_uri="s3://lake/cold")

        client = boto3.client("s3", endpoint_url=properties["s3.endpoint"], region_name=properties["s3.region"])
        keys = [each["Key"] for each in client.list_objects_v2(Bucket="lake", Prefix="cold/")["Contents"]]
        found = {key: client.get_object(Bucket="lake", Key=key)["Body"].read() for key in keys}
    assert done.version.artifact_uri == "s3://lake/cold/churn/v1/churn"
    assert found == {f"cold/churn/v1/churn/{path}": content for path, content in TREE.items()}
    assert tree_of(artifact) == {}


async def test_what_cannot_be_moved_is_not_archived(
    services: Services, sales: Orders, artifact: Path, tmp_path: Path
) -> None:
    register, archive = services.registration.register, services.registration.archive
    await register(churn(), [trained_on(SALES, sales.second)], by_ada())
    await register(churn(artifact_uri=str(tmp_path / "live/nothing")), [], by_ada())
    await register(churn(artifact_uri="/etc/passwd"), [], by_ada())
    await register(churn(artifact_uri=str(artifact)), [], by_ada())

    cold = str(tmp_path / "cold")
    for number, error in ((1, InvalidArgumentError), (2, ArtifactNotFoundError), (3, ArtifactForbiddenError)):
        with pytest.raises(error):
            await archive("churn", number, by_ada(), cold_storage_uri=cold)
    with pytest.raises(ArtifactForbiddenError):
        await archive("churn", 4, by_ada(), cold_storage_uri=str(tmp_path / "elsewhere"))

    for number in range(1, 5):
        assert not (await services.models.get_version("churn", str(number))).is_archived
    assert "model_training_churn_v1" in await refs_of(services, SALES)
    assert tree_of(artifact) == TREE


def _archive_and_die(settings: Settings, point: str, cold: str) -> None:
    async def run() -> None:
        async with open_services(settings) as services:
            if point == "after the copy":
                model_registration.archive_version = die
            else:
                services.registration._cold_storage.remove = die  # type: ignore[method-assign]
            await services.registration.archive("churn", 1, by_ada(key="k"), cold_storage_uri=cold)

    asyncio.run(run())


@pytest.mark.parametrize("point", ["after the copy", "before the removal"])
async def test_a_killed_archiving_loses_no_artifact(
    settings: Settings, fresh: Services, artifact: Path, tmp_path: Path, point: str
) -> None:
    # given
    cold = tmp_path / "cold"
    await fresh.registration.register(churn(artifact_uri=str(artifact)), [], by_ada())

    # when
    process = CONTEXT.Process(target=_archive_and_die, args=(settings, point, str(cold)), daemon=True)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL

    # then the artifact is whole where the record says
    version = await fresh.models.get_version("churn", "1")
    assert version.is_archived is (point == "before the removal")
    assert tree_of(Path(version.artifact_uri or "")) == TREE
    # and it is in one place in the end
    await fresh.model_upkeep.settle()
    done = await fresh.registration.archive("churn", 1, by_ada(key="k"), cold_storage_uri=str(cold))
    assert tree_of(Path(done.version.artifact_uri or "")) == TREE
    assert done.version.artifact_uri == str(cold / "churn/v1/churn")
    assert tree_of(artifact) == {}


async def test_an_artifact_that_was_written_to_meanwhile_stays(
    services: Services, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await services.registration.register(churn(artifact_uri=str(artifact)), [], by_ada())
    cold_storage = services.registration._cold_storage
    remove = cold_storage.remove

    async def write_and_remove(left: object) -> None:
        (artifact / "model.joblib").write_bytes(b"newer")
        await remove(left)

    monkeypatch.setattr(cold_storage, "remove", write_and_remove)

    done = await services.registration.archive("churn", 1, by_ada(), cold_storage_uri=str(tmp_path / "cold"))

    assert tree_of(Path(done.version.artifact_uri or "")) == TREE
    assert (artifact / "model.joblib").read_bytes() == b"newer"
    assert await services.registration._store.left_artifacts() == []
