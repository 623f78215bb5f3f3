"""A new metadata file that cannot be written: nothing was changed, which is told, recorded, and leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from app.bootstrap import Services, open_services
from app.domain.versions import VersionSelector
from app.errors import MetadataNotWrittenError
from app.settings import Settings
from tests.full_disk import full_disk
from tests.integration.races.changing import command, states, tag
from tests.integration.races.table import NAME, change_rows, metadata_location, read_metadata, read_refs

pytestmark = pytest.mark.anyio

# Neither root nor anybody else makes a folder there.
FORBIDDEN = "/sys/nobody"


async def roll_back(services: Services, to: int) -> Any:
    return await services.versioning.roll_back(NAME, VersionSelector(snapshot_id=to), command())


@pytest.mark.parametrize("change", ["tag", "rollback"])
async def test_a_full_disk_changes_nothing_and_leaves_no_part_of_a_file(
    services: Services, settings: Settings, snapshots: list[int], change: str
) -> None:
    refs, folder = read_refs(settings), _folder(metadata_location(settings))
    files = set(folder.iterdir())

    with full_disk(), pytest.raises(MetadataNotWrittenError) as caught:
        await (tag(services, "t", key="k") if change == "tag" else roll_back(services, snapshots[0]))

    assert caught.value.fields["dataset"] == str(NAME)
    assert _folder(str(caught.value.fields["file"])) == folder
    assert "File too large" in caught.value.message
    assert "nothing was changed" in caught.value.message
    assert set(folder.iterdir()) == files
    assert read_refs(settings) == refs
    (row,) = await change_rows(settings.database_url or "")
    assert row["state"] == "FAILED"
    assert str(caught.value.fields["file"]) in row["failure"]
    # And once there is room again, the same can be asked for again, with the same key
    await (tag(services, "t", key="k") if change == "tag" else roll_back(services, snapshots[0]))
    assert await states(settings) == ["FAILED", "DONE"]


async def test_a_folder_that_may_not_be_written_to_is_named(settings: Settings, snapshots: list[int]) -> None:
    location = metadata_location(settings)
    metadata = read_metadata(location)
    metadata["properties"]["write.metadata.path"] = f"file://{FORBIDDEN}"
    _path(location).write_bytes(orjson.dumps(metadata))

    async with open_services(settings) as services:
        with pytest.raises(MetadataNotWrittenError) as caught:
            await tag(services, "t")

    assert str(caught.value.fields["file"]).startswith(f"file://{FORBIDDEN}/")
    assert await states(settings) == ["FAILED"]
    assert metadata_location(settings) == location


def _path(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def _folder(location: str) -> Path:
    return _path(location).parent
