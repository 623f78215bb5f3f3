"""Operations through the Python API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from app.bootstrap import Services
from app.client import IcebergCatalog
from app.domain.operations import Operation
from app.errors import InvalidArgumentError, OperationEndedError, OperationNotFoundError
from tests.integration.operations.jobs import HALF, KIND, by, claim
from tests.lake_fixtures import own_lake, shared_lake
from tests.lake_tables import SmallLake

__all__ = ["own_lake", "shared_lake"]


@pytest.fixture
def client(own_lake: SmallLake) -> Iterator[IcebergCatalog]:
    with IcebergCatalog(settings=own_lake.settings, actor="ada") as opened:
        yield opened


def start(client: IcebergCatalog) -> Operation:
    async def run(services: Services) -> Operation:
        return await services.operations.start(KIND, {"n": 1}, by())

    return client._call(run)


def finish(client: IcebergCatalog, result: Any) -> None:
    async def run(services: Services) -> None:
        leases = services.operation_runner._leases
        assert await leases.succeed((await claim(leases)).lease, HALF, result)

    client._call(run)


def test_an_operation_is_had_with_its_result(client: IcebergCatalog) -> None:
    asked = start(client)
    waiting = client.get_operation(asked.operation_id)
    finish(client, {"rows": 3})

    done = client.get_operation(str(asked.operation_id))

    assert (waiting["id"], waiting["status"], waiting["result"]) == (str(asked.operation_id), "QUEUED", None)
    assert (done["status"], done["progress"], done["result"], done["error"]) == ("SUCCEEDED", 1.0, {"rows": 3}, None)
    with pytest.raises(OperationEndedError):
        client.cancel_operation(asked.operation_id)


def test_an_operation_is_cancelled_once_and_twice(client: IcebergCatalog) -> None:
    asked = start(client)

    first = client.cancel_operation(str(asked.operation_id))

    assert (first["status"], first["cancel_requested"]) == ("CANCELLED", True)
    assert client.cancel_operation(asked.operation_id) == first == client.get_operation(asked.operation_id)


@pytest.mark.parametrize("wrong", ["nobody", "", 7, None, "x" * 10_000, b"x"], ids=repr)
def test_ids_that_are_none_are_refused_by_the_arguments_name(client: IcebergCatalog, wrong: Any) -> None:
    for call in (client.get_operation, client.cancel_operation):
        with pytest.raises(InvalidArgumentError) as refused:
            call(wrong)
        assert refused.value.fields["argument"] == "operation_id"
        assert len(refused.value.message) < 300


def test_an_operation_that_is_not_there_is_not_found(client: IcebergCatalog) -> None:
    for call in (client.get_operation, client.cancel_operation):
        with pytest.raises(OperationNotFoundError):
            call(uuid4())
