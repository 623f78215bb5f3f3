import pytest

from tests.cli.results import Cli
from tests.lake_tables import BRANCH, ORDERS, TAG, SmallLake, append_elsewhere

NEW = "gold_validated_2026_02_15"


def refs(lake: SmallLake) -> dict[str, int]:
    return {name: ref.snapshot_id for name, ref in lake.catalog.load_table(ORDERS).metadata.refs.items()}


def test_tag_move_and_untag(cli: Cli, own_lake: SmallLake) -> None:
    made = cli("tag", ORDERS, NEW, "--at", "main~1", "--reason", "checked", "--json").answer
    moved = cli(
        "tag", ORDERS, NEW, "--at", "latest", "--move", "--expected-target", str(own_lake.orders.second), "--json"
    ).answer
    seen = refs(own_lake)[NEW]
    removed = cli("untag", ORDERS, NEW, "--json").answer

    assert made["snapshot_id"] == str(own_lake.orders.second)
    assert made["warnings"] == []
    assert made["change_id"]
    assert moved["snapshot_id"] == str(own_lake.orders.third) == str(seen) == removed["snapshot_id"]
    assert NEW not in refs(own_lake)


def test_the_same_tag_again_is_no_error(cli: Cli, own_lake: SmallLake) -> None:
    cli("tag", ORDERS, NEW, "--json").answer  # noqa: B018  asserts that it went well

    again = cli("tag", ORDERS, NEW, "--json").answer

    assert again["unchanged"] is True
    assert "was there already" in cli("tag", ORDERS, NEW).stdout


def test_a_doubtful_name_is_set_with_a_warning(cli: Cli, own_lake: SmallLake) -> None:
    result = cli("tag", ORDERS, "backup")

    assert result.exit_code == 0
    assert "Tag backup set" in result.stdout
    assert "Warning: 'backup' does not say what it is for" in result.stderr


def test_rollback_prints_how_to_undo_it_and_that_works(cli: Cli, own_lake: SmallLake) -> None:
    shown = cli("rollback", ORDERS, TAG, "--reason", "bad load").stdout
    (hint,) = [line for line in shown.splitlines() if "Undo it with:" in line]
    command = hint.partition("stratigraph ")[2].split()
    rolled_back = refs(own_lake)["main"]

    undone = cli(*command, "--json").answer

    assert rolled_back == own_lake.orders.first
    assert undone["snapshot_id"] == str(own_lake.orders.third)
    assert refs(own_lake)["main"] == own_lake.orders.third


def test_a_dry_run_changes_nothing_and_tells_the_schema_consequence(cli: Cli, own_lake: SmallLake) -> None:
    before = own_lake.location

    answer = cli("rollback", ORDERS, str(own_lake.orders.first), "--dry-run", "--json").answer

    assert answer["dry_run"] is True
    assert answer["previous_snapshot_id"] == str(own_lake.orders.third)
    assert answer["snapshot_id"] == str(own_lake.orders.first)
    assert "renames name to label" in answer["schema_warning"]
    assert own_lake.location == before


def test_rollback_with_the_schema(cli: Cli, own_lake: SmallLake) -> None:
    answer = cli("rollback", ORDERS, TAG, "--restore-schema", "--json").answer

    assert answer["restored_schema"] is True
    assert answer["schema_warning"] is None
    assert own_lake.catalog.load_table(ORDERS).schema().column_names == ["id", "price", "name", "at"]


def test_the_same_key_answers_the_first_outcome_again(cli: Cli, own_lake: SmallLake) -> None:
    arguments = ("rollback", ORDERS, TAG, "--idempotency-key", "k1", "--json")

    first, second = cli(*arguments).answer, cli(*arguments).answer

    assert first == second


BAD = {
    "unknown namespace": (["snapshots", "nowhere.orders"], 3, None),
    "unknown table": (["snapshots", "sales.order"], 3, "DATASET_NOT_FOUND"),
    "no namespace": (["snapshots", "orders"], 2, "INVALID_NAME"),
    "broken table": (["snapshots", "sales.broken"], 7, "UNREADABLE_TABLE"),
    "rows of an empty table": (["show", "sales.empty"], 6, "NO_SNAPSHOT"),
    "unknown tag": (["show", ORDERS, "--at", "tag:nope"], 3, "TAG_NOT_FOUND"),
    "unknown snapshot": (["show", ORDERS, "--at", "123"], 3, "VERSION_NOT_FOUND"),
    "id 0": (["show", ORDERS, "--at", "0"], 2, "INVALID_REFERENCE"),
    "id -1": (["show", ORDERS, "--at=-1"], 2, "INVALID_REFERENCE"),
    "id 2^63": (["show", ORDERS, "--at", str(2**63)], 2, "INVALID_REFERENCE"),
    "id 2^70": (["rollback", ORDERS, str(2**70)], 2, "INVALID_REFERENCE"),
    "id 1e3": (["rollback", ORDERS, "snapshot:1e3"], 2, "INVALID_REFERENCE"),
    "float": (["tag", ORDERS, NEW, "--at", "snapshot:1.5"], 2, "INVALID_REFERENCE"),
    "filter that does not parse": (["show", ORDERS, "--filter", "id >>"], 2, "INVALID_FILTER"),
    "filter of a missing column": (["show", ORDERS, "--filter", "nam = 'x'"], 2, "INVALID_FILTER"),
    "unknown column": (["show", ORDERS, "--columns", "nam"], 2, "UNKNOWN_COLUMN"),
    "open quote": (["show", ORDERS, "--columns", '"id'], 2, "INVALID_ARGUMENT"),
    "limit 0": (["show", ORDERS, "--limit", "0"], 2, "INVALID_ARGUMENT"),
    "limit -1": (["show", ORDERS, "--limit=-1"], 2, "INVALID_ARGUMENT"),
    "limit 10001": (["show", ORDERS, "--limit", "10001"], 2, "INVALID_ARGUMENT"),
    "limit 1e3": (["show", ORDERS, "--limit", "1e3"], 2, "USAGE"),
    "tag with a space": (["tag", ORDERS, "a b"], 2, "INVALID_NAME"),
    "tag of 10,000 characters": (["tag", ORDERS, "x" * 10_000], 2, "INVALID_NAME"),
    "unicode tag": (["tag", ORDERS, "prüfung"], 2, "INVALID_NAME"),
    "tag main": (["tag", ORDERS, "main"], 2, "INVALID_NAME"),
    "empty tag": (["tag", ORDERS, ""], 2, "INVALID_NAME"),
    "tag elsewhere": (["tag", ORDERS, TAG, "--at", "latest"], 4, "TAG_EXISTS"),
    "tag named as a branch": (["tag", ORDERS, BRANCH], 4, "BRANCH_EXISTS"),
    "move without a tag": (["tag", ORDERS, NEW, "--move"], 3, "TAG_NOT_FOUND"),
    "move of a protected tag": (["tag", ORDERS, TAG, "--move"], 5, "PROTECTED_TAG"),
    "force without move": (["tag", ORDERS, NEW, "--force"], 2, "INVALID_ARGUMENT"),
    "protected with move": (["tag", ORDERS, TAG, "--move", "--protected"], 2, "INVALID_ARGUMENT"),
    "stale target": (["tag", ORDERS, TAG, "--move", "--force", "--expected-target", "5"], 4, "HEAD_MOVED"),
    "untag of a protected tag": (["untag", ORDERS, TAG], 5, "PROTECTED_TAG"),
    "untag of nothing": (["untag", ORDERS, "nope"], 3, "TAG_NOT_FOUND"),
    "rollback to the current": (["rollback", ORDERS, "latest"], 2, "ALREADY_CURRENT"),
    "rollback of an empty table": (["rollback", "sales.empty", "latest"], 6, "NO_SNAPSHOT"),
    "rollback of an unknown branch": (["rollback", ORDERS, TAG, "--branch", "nope"], 3, "BRANCH_NOT_FOUND"),
    "stale head": (["rollback", ORDERS, TAG, "--expected-head", "5"], 4, "HEAD_MOVED"),
    "head that is no id": (["rollback", ORDERS, TAG, "--expected-head", "1e3"], 2, "INVALID_REFERENCE"),
    "undo of no undo tag": (["undo", ORDERS, TAG], 2, "INVALID_ARGUMENT"),
    "undo of nothing": (["undo", ORDERS, "pre_rollback_x"], 3, "TAG_NOT_FOUND"),
    "actor without a name": (["tag", ORDERS, NEW, "--actor", " "], 2, "INVALID_ARGUMENT"),
    "endless reason": (["tag", ORDERS, NEW, "--reason", "x" * 3000], 2, "INVALID_ARGUMENT"),
    "empty key": (["tag", ORDERS, NEW, "--idempotency-key", ""], 2, "INVALID_ARGUMENT"),
    "unknown option": (["tag", ORDERS, NEW, "--nope"], 2, "USAGE"),
    "unknown command": (["nope"], 2, "USAGE"),
    "missing argument": (["tag", ORDERS], 2, "USAGE"),
    "schema that is not there": (["schema", "check", "/nonexistent"], 2, "INVALID_ARGUMENT"),
    "scale 0": (["demo", "load", "--scale", "0"], 2, "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_typed_and_changes_nothing(cli: Cli, lake: SmallLake, case: str) -> None:
    arguments, exit_code, code = BAD[case]
    before = lake.location

    result = cli(*arguments, "--json")

    assert result.exit_code == exit_code, result.stderr
    error = result.error
    assert error["exit_code"] == exit_code
    assert code is None or error["code"] == code
    assert error["message"]
    assert lake.location == before


def test_an_error_for_people_has_message_hint_and_where_to_read_on(cli: Cli) -> None:
    result = cli("untag", ORDERS, "production_2026_02_16")

    assert result.stdout == ""
    error, hint, docs = result.stderr.splitlines()
    assert error.startswith("Error: sales.orders has no tag 'production_2026_02_16'. Did you mean")
    assert TAG in error
    assert hint.startswith("Hint: ")
    assert docs == "See docs/errors.md#tag_not_found"


def test_a_head_that_moved_meanwhile_is_a_conflict_with_the_actual_one(cli: Cli, own_lake: SmallLake) -> None:
    moved = append_elsewhere(own_lake.catalog, 7)

    error = cli("rollback", ORDERS, TAG, "--expected-head", str(own_lake.orders.third), "--json").error

    assert error["code"] == "HEAD_MOVED"
    assert error["retryable"] is True
    assert error["fields"]["actual"] == str(moved)
