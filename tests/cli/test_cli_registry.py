"""`stratigraph models`, `model`, `pipelines`, `pipeline`, `run` and `promote`: what people and scripts see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.pipelines import duration_text
from app.cli.registry_arguments import read_metric, read_parameters
from app.errors import InvalidArgumentError
from tests.cli.results import Cli
from tests.lake_tables import ORDERS, SmallLake

RUN = "66666666-6666-4666-8666-666666666666"
PIPELINE = "spark://x/daily"
DAG = {"tasks": [{"id": "load"}, {"id": "clean", "retries": 2}], "edges": [["load", "clean"]]}


@pytest.fixture
def dag(tmp_path: Path) -> str:
    path = tmp_path / "dag.json"
    path.write_text(json.dumps(DAG))
    return str(path)


@pytest.fixture
def code(tmp_path: Path) -> str:
    path = tmp_path / "daily.py"
    path.write_text("print('daily')\n")
    return str(path)


def register(cli: Cli, *more: str) -> str:
    result = cli("model", "register", "churn", "--training", f"{ORDERS}@main~1", *more)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_a_model_is_registered_and_shown(cli: Cli, own_lake: SmallLake) -> None:
    printed = register(
        cli,
        *("--metric", "auc=0.91", "--metric", "rmse=1.2:lower", "--test", f"{ORDERS}@{own_lake.orders.first}"),
        *("--param", "depth=3", "--param", "name=deep one", "--framework", "scikit-learn", "--actor", "ada"),
        *("--reason", "baseline", "--description", "Who leaves?"),
    )

    assert printed == (
        "Registered churn v1.\n"
        f"  training on {ORDERS} @ {own_lake.orders.second}, which is kept for it\n"
        f"  test on {ORDERS} @ {own_lake.orders.first}, which is kept for it\n"
    )
    (header, row) = cli("models").stdout.splitlines()
    assert header.split()[:2] == ["MODEL", "LATEST"]
    assert row.split()[:2] == ["churn", "v1"] and row.endswith("Who leaves?")
    shown = cli("model", "show", "churn").stdout
    assert "Description: Who leaves?" in shown and "auc=0.91 rmse=1.2" in shown
    assert f"{ORDERS}@{own_lake.orders.second}" in shown
    version = cli("model", "show", "churn", "latest").stdout
    assert " by ada: baseline\n" in version
    assert "Metric rmse: 1.2, lower is better\n" in version
    assert "Parameter depth: 3\nParameter name: deep one\n" in version
    assert version.endswith("Reproducible: yes, all of it can be read\n")
    card = cli("model", "card", "churn").stdout
    assert card.startswith("churn v1, ") and f"Training data: {ORDERS} @ {own_lake.orders.second}\n" in card


def test_json_is_what_rest_answers(cli: Cli, own_lake: SmallLake) -> None:
    made = cli(
        *("model", "register", "churn", "--training", f"{ORDERS}@main~1", "--metric", "auc=0.91", "--json"),
        *("--param", 'layers=[1, {"a": null}]', "--param", "on=true", "--param", "text=a=b"),
    ).answer

    assert made["warnings"] == [] and made["change_id"]
    version = made["model_version"]
    assert version["parameters"] == {"layers": [1, {"a": None}], "on": True, "text": "a=b"}
    assert cli("model", "show", "churn", "1", "--json").answer == {**version, "reproducible": True}
    assert cli("model", "show", "churn", "--json").answer["versions"] == [version]
    assert cli("models", "--json").answer["models"][0]["latest"] == 1
    card = cli("model", "card", "churn", "--json").answer
    assert (card["model_name"], card["version"], card["training_dataset"]) == ("churn", 1, ORDERS)
    assert card["training_dataset_version"] == str(own_lake.orders.second)


def test_a_version_is_tagged_and_archived(cli: Cli, own_lake: SmallLake) -> None:
    register(cli)
    register(cli, "--framework", "other")

    assert cli("model", "tag", "churn", "production_2026_02_15", "--at", "1").stdout == (
        "Tag production_2026_02_15 set: churn v1.\n"
    )
    assert "was there already" in cli("model", "tag", "churn", "production_2026_02_15", "--at", "1").stdout
    taken = cli("model", "tag", "churn", "production_2026_02_15", "--json")
    assert (taken.exit_code, taken.error["code"]) == (4, "TAG_EXISTS")
    assert taken.error["hint"] == "Use --move to point the tag to another version."
    kept = cli("model", "tag", "churn", "production_2026_02_15", "--move", "--json")
    assert (kept.exit_code, kept.error["code"]) == (5, "PROTECTED_TAG")
    moved = cli("model", "tag", "churn", "production_2026_02_15", "--move", "--force", "--expected", "1", "--json")
    assert moved.answer["tag"]["number"] == 2
    gone = cli("model", "untag", "churn", "production_2026_02_15", "--force")
    assert gone.stdout == "Tag production_2026_02_15 removed; it was on churn v2.\n"
    doubtful = cli("model", "tag", "churn", "final")
    assert "Warning: 'final' does not say what it is for" in doubtful.stderr
    assert cli("model", "archive", "churn", "1", "--reason", "old").stdout.startswith("churn v1 archived, ")
    assert "was archived already" in cli("model", "archive", "churn", "1").stdout
    assert cli("model", "archive", "churn", "1", "--json").answer["unchanged"] is True
    assert "Archived: " in cli("model", "show", "churn", "1").stdout


def test_a_model_without_data_is_warned_about(cli: Cli, own_lake: SmallLake) -> None:
    result = cli("model", "register", "churn")

    assert result.stdout == "Registered churn v1.\n"
    assert result.stderr.startswith("Warning: It does not say what it was trained on")
    assert "Reproducible: it does not say on what" in cli("model", "show", "churn", "1").stdout


def test_a_pipeline_is_registered_once(cli: Cli, own_lake: SmallLake, dag: str, code: str) -> None:
    options = ("--dag", dag, "--code", code, "--git-commit", "abc123", "--name", "Daily", "--actor", "ada")

    assert cli("pipeline", "register", PIPELINE, *options).stdout == f"{PIPELINE} v1 registered.\n"
    assert cli("pipeline", "register", PIPELINE, *options).stdout == f"{PIPELINE} v1 is as it was: no new version.\n"
    assert cli("pipeline", "register", PIPELINE, "--dag", dag, "--json").answer["pipeline_version"]["number"] == 2

    assert cli("pipelines").stdout.splitlines()[1].split()[:2] == [PIPELINE, "v2"]
    shown = cli("pipeline", "show", PIPELINE).stdout.splitlines()
    assert shown[0] == "Name: Daily" and [line.split()[0] for line in shown[2:]] == ["v2", "v1"]
    version = cli("pipeline", "show", PIPELINE, "1").stdout
    assert "Commit: abc123\n" in version and version.endswith("Task load\nTask clean, after load\n")
    entry = cli("pipeline", "show", PIPELINE, "1", "--json").answer
    assert (entry["dag"], entry["code"]) == (DAG, "print('daily')\n")
    assert not {"dag", "code"} & cli("pipeline", "show", PIPELINE, "--json").answer["versions"][0].keys()
    assert cli("pipeline", "tag", PIPELINE, "stable_1", "--protected").exit_code == 0
    assert cli("pipeline", "untag", PIPELINE, "stable_1").exit_code == 5
    assert cli("pipeline", "untag", PIPELINE, "stable_1", "--force", "--json").answer["number"] == 2


def test_a_run_is_recorded_and_shown(cli: Cli, own_lake: SmallLake, dag: str) -> None:
    cli("pipeline", "register", PIPELINE, "--dag", dag)
    begun = cli(
        *("run", "record", RUN, PIPELINE, "--status", "running", "--started-at", "2026-02-15T10:00:00Z"),
        *("--version-number", "1", "--input", f"{ORDERS}@main~1", "--training", ORDERS, "--actor", "ada"),
    )
    assert begun.exit_code == 0, begun.stderr

    over = cli(
        *("run", "record", RUN, PIPELINE, "--status", "FAILED", "--ended-at", "2026-02-15T10:02:05Z"),
        *("--error", "no space left\non the device", "--version-number", "1", "--actor", "ada"),
    )

    lines = over.stdout.splitlines(keepends=True)
    assert "".join(lines[:5]) == (
        f"Run {RUN} of {PIPELINE} v1: FAILED\n"
        "Started: 2026-02-15T10:00:00Z\n"
        "Ended: 2026-02-15T10:02:05Z, after 2 min 5 s\n"
        "Error: no space left\\non the device\n"
        "Recorded by: ada\n"
    )
    assert set(lines[5:]) == {
        f"Read: {ORDERS} @ {own_lake.orders.second}\n",
        f"Read: {ORDERS} @ {own_lake.orders.third} for training\n",
    }
    assert cli("run", "show", RUN).stdout == over.stdout
    listed = cli("pipeline", "runs", PIPELINE).stdout.splitlines()
    assert listed[1].split() == [
        *(RUN, "v1", "FAILED", "2026-02-15T10:00:00Z", "2", "min", "5", "s", "no", "space", "left"),
    ]
    answer = cli("pipeline", "runs", PIPELINE, "--status", "failed", "--json").answer
    assert answer["runs"] == [cli("run", "show", RUN, "--json").answer]
    assert cli("pipeline", "runs", PIPELINE, "--status", "success", "--json").answer["total"] == 0


def test_a_promotion_is_recorded_once(cli: Cli, own_lake: SmallLake) -> None:
    arguments = ("promote", f"{ORDERS}@main~1", f"{ORDERS}@latest", "--pipeline", "promote", "--reason", "checked")

    assert cli(*arguments).stdout == (
        f"Promotion recorded: {ORDERS} @ {own_lake.orders.third} from {ORDERS} @ {own_lake.orders.second}.\n"
    )
    assert cli(*arguments).stdout.startswith("Promotion was recorded already: ")
    assert cli(*arguments, "--json").answer["unchanged"] is True


def test_long_lists_say_that_there_is_more(cli: Cli, own_lake: SmallLake) -> None:
    for name in ("a", "b"):
        cli("model", "register", name)

    shown = cli("models", "--limit", "1")

    assert len(shown.stdout.splitlines()) == 2
    assert shown.stderr == "There are 2; --limit shows more.\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code", "told"),
    [
        (("model", "show", "nope"), 3, "MODEL_NOT_FOUND", "nope"),
        (("model", "card", "nope"), 3, "MODEL_NOT_FOUND", "nope"),
        (("model", "archive", "nope", "1"), 3, "MODEL_NOT_FOUND", "nope"),
        (("model", "archive", "nope", "latest"), 2, "USAGE", "NUMBER"),
        (("model", "tag", "nope", "x"), 3, "MODEL_NOT_FOUND", "nope"),
        (("model", "tag", "nope", "x", "--force"), 2, "INVALID_ARGUMENT", "--force"),
        (("model", "tag", "nope", "x", "--move", "--expected", "0"), 2, "INVALID_ARGUMENT", "--expected"),
        (("model", "register", "a/b"), 2, "INVALID_NAME", "a/b"),
        (("model", "register", "m", "--metric", "auc"), 2, "INVALID_ARGUMENT", "--metric"),
        (("model", "register", "m", "--metric", "auc=nan"), 2, "INVALID_ARGUMENT", "--metric"),
        (("model", "register", "m", "--metric", "auc=1:up"), 2, "INVALID_ARGUMENT", "--metric"),
        (("model", "register", "m", "--metric", "a=1", "--metric", "a=2"), 2, "INVALID_ARGUMENT", "--metric"),
        (("model", "register", "m", "--param", "depth"), 2, "INVALID_ARGUMENT", "--param"),
        (("model", "register", "m", "--param", "a=1", "--param", "a=2"), 2, "INVALID_ARGUMENT", "--param"),
        (("model", "register", "m", "--param", f"a={2**63}"), 2, "INVALID_ARGUMENT", "--param"),
        (("model", "register", "m", "--param", "a=NaN"), 2, "INVALID_ARGUMENT", "--param"),
        (("model", "register", "m", "--param", 'a={"b": 1, "b": 2}'), 2, "INVALID_ARGUMENT", "--param"),
        (("model", "register", "m", "--param", "a=\udcff"), 2, "INVALID_ARGUMENT", "--param"),
        (("model", "register", "m", "--training", "orders"), 2, "INVALID_NAME", "orders"),
        (("model", "register", "m", "--training", f"{ORDERS}@nope"), 3, "VERSION_NOT_FOUND", "nope"),
        (("model", "register", "m", "--training", ORDERS, "--training", ORDERS), 2, "INVALID_ARGUMENT", "--training"),
        (("model", "register", "m", "--artifact-uri", " "), 2, "INVALID_ARGUMENT", "--artifact-uri"),
        (("model", "register", "m", "--run-id", "1"), 2, "INVALID_ARGUMENT", "--run-id"),
        (("models", "--limit", "0"), 2, "INVALID_ARGUMENT", "--limit"),
        (("pipeline", "show", "nope"), 3, "PIPELINE_NOT_FOUND", "nope"),
        (("pipeline", "runs", "nope"), 3, "PIPELINE_NOT_FOUND", "nope"),
        (("pipeline", "runs", "nope", "--status", "ok"), 2, "INVALID_ARGUMENT", "--status"),
        (("pipeline", "register", "p"), 2, "USAGE", "--dag"),
        (("pipeline", "register", "p", "--dag", "/nope.json"), 2, "INVALID_ARGUMENT", "--dag"),
        (("pipeline", "register", "p", "--dag", "."), 2, "INVALID_ARGUMENT", "--dag"),
        (("run", "show", RUN), 3, "LINEAGE_RUN_NOT_FOUND", RUN),
        (("run", "show", "1"), 2, "INVALID_ARGUMENT", "RUN"),
        (("run", "record", RUN, "p", "--status", "done"), 2, "INVALID_ARGUMENT", "--status"),
        (("run", "record", RUN, "p", "--status", "success"), 2, "INVALID_ARGUMENT", "--ended-at"),
        (
            (
                *("run", "record", RUN, "p", "--status", "success"),
                *("--started-at", "2026-02-15T10:00:00Z", "--ended-at", "2026-02-15T09:00:00Z"),
            ),
            2,
            "INVALID_ARGUMENT",
            "--ended-at",
        ),
        (
            ("run", "record", RUN, "p", "--status", "running", "--started-at", "now"),
            2,
            "INVALID_ARGUMENT",
            "--started-at",
        ),
        (("promote", ORDERS, ORDERS), 2, "INVALID_ARGUMENT", "TARGET"),
        (("promote", ORDERS, "sales.nope"), 3, "DATASET_NOT_FOUND", "sales.nope"),
    ],
)
def test_bad_input_is_typed(cli: Cli, arguments: tuple[str, ...], exit_code: int, code: str, told: str) -> None:
    result = cli(*arguments, "--json")

    assert (result.exit_code, result.error["code"]) == (exit_code, code), result.stderr
    assert told in result.error["message"]


@pytest.mark.parametrize(
    ("case", "text", "pointer"),
    [
        ("a cycle", '{"tasks": [{"id": "a"}, {"id": "b"}], "edges": [["a", "b"], ["b", "a"]]}', "/edges/"),
        ("no JSON", "{", ""),
        ("a member twice", '{"tasks": [{"id": "a", "id": "b"}]}', ""),
        ("too long a number", '{"tasks": [{"id": "a", "n": 99999999999999999999}]}', "/tasks/0/n"),
    ],
)
def test_a_file_that_is_no_dag_is_refused(cli: Cli, tmp_path: Path, case: str, text: str, pointer: str) -> None:
    path = tmp_path / "dag.json"
    path.write_text(text)

    result = cli("pipeline", "register", "p", "--dag", str(path), "--json")

    assert (result.exit_code, result.error["code"]) == (2, "INVALID_DAG"), case
    assert result.error["fields"]["pointer"].startswith(pointer)
    if case == "a cycle":
        assert sorted(result.error["fields"]["cycle"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "name", "value", "higher"),
    [
        ("auc=0.91", "auc", 0.91, None),
        ("rmse=1.2:lower", "rmse", 1.2, False),
        ("f1=1e-3:higher", "f1", 0.001, True),
        ("p=q=2", "p=q", 2.0, None),
        ("loss=-1", "loss", -1.0, None),
    ],
)
def test_metrics_are_read(text: str, name: str, value: float, higher: bool | None) -> None:
    metric = read_metric(text)

    assert (metric.name, metric.value, metric.higher_is_better) == (name, value, higher)


def test_parameters_are_json_where_they_are() -> None:
    assert read_parameters(["a=1", "b=1.5", "c=x", "d=", 'e="1"', "f=null", "g=[1", "h=01", f"i={'9' * 5000}"]) == {
        "a": 1,
        "b": 1.5,
        "c": "x",
        "d": "",
        "e": "1",
        "f": None,
        "g": "[1",
        "h": "01",
        "i": "9" * 5000,
    }
    with pytest.raises(InvalidArgumentError):
        read_parameters(["=1"])


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(None, ""), (0, "0.0 s"), (1540, "1.5 s"), (59_900, "59.9 s"), (60_000, "1 min 0 s"), (7_260_000, "2 h 1 min")],
)
def test_durations_are_for_people(duration_ms: int | None, text: str) -> None:
    assert duration_text(duration_ms) == text
