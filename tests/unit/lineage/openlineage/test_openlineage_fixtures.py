"""Every document of tests/fixtures/openlineage is taken, or refused for a reason that is said."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from app.domain.events import DatasetId, RunEvent
from app.domain.run_state import RunStatus, merge
from app.errors import InvalidEventError
from app.lineage.openlineage.parse import parse_events
from tests.lineage_events import AT, FIXTURES, NOW, RUN_ID, parse_run

DOCUMENTS = sorted(FIXTURES.glob("*.json"))
TAKEN = {"spark-iceberg-rest-session.json"}
PLACEHOLDER = ("/run/runId", "it is a placeholder, '${json-unit.any-string}', instead of a value")
NO_RUN_ID = ("/run/runId", "it is missing")
NO_EVENT = ("", "an event has a run, a job or a dataset, and this has none")
# What the Hive integration's tests leave open in these is not even there.
WITHOUT_RUN_ID = re.compile(r"hive-cll\w+Complete\.json")
RECORDED_AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
SESSION = FIXTURES / "spark-iceberg-rest-session.json"


def expected_fault(name: str) -> tuple[str, str]:
    if name.startswith("spec-tests-"):
        return NO_EVENT
    return NO_RUN_ID if WITHOUT_RUN_ID.fullmatch(name) else PLACEHOLDER


def test_all_documents_are_here() -> None:
    assert len(DOCUMENTS) == 83


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_each_document_is_taken_or_explained(document: Path) -> None:
    if document.name in TAKEN:
        assert all(parsed.event.warnings == () for parsed in parse_events(document.read_bytes(), now=RECORDED_AT))
        return

    with pytest.raises(InvalidEventError) as refused:
        parse_events(document.read_bytes(), now=NOW)

    assert (refused.value.fields["pointer"], refused.value.fields["reason"]) == expected_fault(document.name)
    assert refused.value.fields["index"] is None


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if path.name.startswith(("hive-", "flink-"))], ids=lambda path: path.stem
)
def test_each_event_is_taken_with_all_it_says_once_its_blanks_are_filled_in(document: Path) -> None:
    event = orjson.loads(document.read_bytes())
    event["run"]["runId"], event["eventTime"] = RUN_ID, AT

    parsed = parse_run(event)

    # The producer is left out of all of them; nothing else is amiss.
    assert [warning.pointer for warning in parsed.warnings] == ["/producer"]
    for uses, told in ((parsed.inputs, event.get("inputs", [])), (parsed.outputs, event.get("outputs", []))):
        assert {(use.dataset.namespace, use.dataset.name) for use in uses} == {
            (each["namespace"], each["name"]) for each in told
        }
        for use in uses:
            facets = next(each.get("facets", {}) for each in told if each["name"] == use.dataset.name)
            assert len(use.aliases) == len(facets.get("symlinks", {}).get("identifiers", []))
            assert len(use.fields) == len(facets.get("schema", {}).get("fields", []))
            columns = facets.get("columnLineage", {}).get("fields", {}) if uses is parsed.outputs else {}
            assert {each.column for each in use.columns} - {None} == set(columns)
    assert parsed.facts.sql == event["job"].get("facets", {}).get("sql", {}).get("query")


def test_a_recorded_session_tells_which_version_was_read_and_which_was_written() -> None:
    events = [parsed.event for parsed in parse_events(SESSION.read_bytes())]
    by_run: dict[UUID, list[RunEvent]] = {}
    for event in events:
        assert isinstance(event, RunEvent)
        by_run.setdefault(event.run_id, []).append(event)

    insert, select = (state for state in map(merge, by_run.values()) if "append_data" in state.job.name)

    sales, customers = DatasetId(namespace="file", name="/warehouse/silver/sales"), "/warehouse/gold/customers"
    (written,) = insert.outputs
    (read,) = select.inputs
    (made,) = select.outputs
    assert (written.use.dataset, read.use.dataset, made.use.dataset.name) == (sales, sales, customers)
    assert written.use.version == read.use.version == "7536839303534702567"
    assert made.use.version == "1372664734927366950"
    assert read.use.aliases[0].name == "silver.sales"
    assert [(each.column, each.field, each.transformation) for each in made.use.columns] == [
        ("id", "id", "DIRECT/IDENTITY"),
        (None, "id", "INDIRECT/GROUP_BY"),
    ]
    assert (made.use.row_count, insert.outputs[0].use.row_count is not None) == (2, True)
    assert {state.status for state in map(merge, by_run.values())} == {RunStatus.SUCCESS}
    assert select.parent is not None
    assert select.parent.run_id == events[0].run_id
