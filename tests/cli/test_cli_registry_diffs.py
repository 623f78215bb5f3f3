"""`stratigraph diff model` and `diff pipeline`: what people and scripts see, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.results import Cli
from tests.lake_tables import ORDERS, SmallLake

PIPELINE = "spark://x/täglich"
FIRST = {"tasks": [{"id": "load"}, {"id": "clean", "retries": 1}, {"id": "old"}], "edges": [["load", "clean"]]}
SECOND = {
    "tasks": [{"id": "fetch"}, {"id": "clean", "retries": 2}, {"id": "check", "x": 1}],
    "edges": [["fetch", "clean"], ["clean", "check"]],
}


def done(cli: Cli, *arguments: str) -> str:
    result = cli(*arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    return result.stdout


@pytest.fixture
def models(cli: Cli, own_lake: SmallLake) -> None:
    told = ("model", "register", "churn", "--param", "depth=3", "--param", 'opt={"lr": 0.1}', "--metric")
    done(cli, *told, "auc=0.85", "--metric", "rmse=1.2:lower", "--metric", "loss=1", "--training", f"{ORDERS}@main~1")
    told = ("model", "register", "churn", "--param", "depth=5", "--param", 'opt={"lr": "x"}', "--metric")
    done(cli, *told, "auc=0.92", "--metric", "rmse=1.5:lower", "--metric", "f1=0.5", "--training", f"{ORDERS}@latest")


@pytest.fixture
def pipelines(cli: Cli, own_lake: SmallLake, tmp_path: Path) -> None:
    for number, (dag, code) in enumerate(((FIRST, "a\n\tb\n"), (SECOND, "a\n\tc\x1b[2J\n")), start=1):
        (tmp_path / "dag.json").write_text(json.dumps(dag))
        (tmp_path / "code.py").write_text(code)
        register = ("pipeline", "register", PIPELINE, "--dag", str(tmp_path / "dag.json"))
        done(cli, *register, "--code", str(tmp_path / "code.py"), "--git-commit", f"c{number}")


@pytest.mark.usefixtures("models")
def test_models_for_people(cli: Cli, own_lake: SmallLake) -> None:
    assert done(cli, "diff", "model", "churn", "1", "2").splitlines() == [
        "churn v1 → v2",
        "~ metric auc: 0.85 → 0.92 (+0.07, +8.24 %)",
        "+ metric f1: 0.5",
        "- metric loss: 1.0",
        "! metric rmse: 1.2 → 1.5 (+0.3, +25 %): regressed (lower is better; 5 % are allowed)",
        "~ parameter depth: 3 → 5",
        '~ parameter opt.lr: 0.1 → "x"',
        f"~ training data {ORDERS} @ {own_lake.orders.second} → {own_lake.orders.third}",
    ]
    back = done(cli, "diff", "model", "churn", "latest", "v1").splitlines()
    assert back[:2] == [
        "churn v2 → v1",
        ("! metric auc: 0.92 → 0.85 (-0.07, -7.61 %): regressed (higher is better, by its name; 5 % are allowed)"),
    ]
    same = done(cli, "diff", "model", "churn", "2").splitlines()
    assert same == ["churn v2 → v2", "Metrics, parameters, framework and training data are the same."]


@pytest.mark.usefixtures("models")
def test_models_for_scripts(cli: Cli) -> None:
    answer = cli("diff", "model", "churn", "1", "--json").answer

    assert (answer["from_version"], answer["to_version"], answer["to_number"]) == ("1", "latest", 2)
    assert answer["metrics_diff"]["auc"]["delta"] == 0.07
    assert answer["regressions"] == ["rmse"]
    wide = cli("diff", "model", "churn", "1", "2", "--json", "--threshold", "25%", "--threshold", "auc=0").answer
    assert wide["regressions"] == []


@pytest.mark.usefixtures("models", "pipelines")
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_exit_codes_are_those_of_git(cli: Cli, more: tuple[str, ...]) -> None:
    for what in (("model", "churn"), ("pipeline", PIPELINE)):
        assert cli("diff", *what, "1", "2", *more).exit_code == 0
        assert cli("diff", *what, "1", "2", "--exit-code", *more).exit_code == 1
        assert cli("diff", *what, "2", "1", "--exit-code", *more).exit_code == 1
        assert cli("diff", *what, "2", "2", "--exit-code", *more).exit_code == 0


@pytest.mark.usefixtures("pipelines")
def test_pipelines_for_people(cli: Cli) -> None:
    assert done(cli, "diff", "pipeline", PIPELINE, "1", "2").splitlines() == [
        f"{PIPELINE} v1 → v2",
        "~ task load renamed to fetch",
        "- task old",
        "+ task check",
        "~ task clean: retries: 1 → 2",
        "+ edge clean → check",
        "~ commit: c1 → c2",
        f"--- {PIPELINE} v1",
        f"+++ {PIPELINE} v2",
        "@@ -1,2 +1,2 @@",
        " a",
        "-\tb",
        # what would clear the terminal is written out
        "+\tc\\x1b[2J",
    ]
    assert done(cli, "diff", "pipeline", PIPELINE, "latest").splitlines() == [
        f"{PIPELINE} v2 → v2",
        "DAG, code and commit are the same.",
    ]


@pytest.mark.usefixtures("pipelines")
def test_pipelines_for_scripts(cli: Cli) -> None:
    answer = cli("diff", "pipeline", PIPELINE, "1", "2", "--json").answer

    assert answer["dag_diff"]["tasks_added"] == ["check", "fetch"]
    assert answer["git_commits"] == {"from": "c1", "to": "c2"}
    # and the diff is one for `patch`, with nothing written out
    header = f"--- {PIPELINE} v1\n+++ {PIPELINE} v2\n"
    assert answer["code_diff"] == f"{header}@@ -1,2 +1,2 @@\n a\n-\tb\n+\tc\x1b[2J\n"


@pytest.mark.usefixtures("models", "pipelines")
def test_a_terminal_gets_colours(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")

    model = cli("diff", "model", "churn", "1", "2").stdout
    pipeline = cli("diff", "pipeline", PIPELINE, "1", "2").stdout

    assert "\x1b[1;31m! metric rmse" in model and "\x1b[33m~ metric auc" in model
    # rich writes tabs as blanks
    assert "\x1b[32m+       " in pipeline and "\x1b[31m-       " in pipeline and "\x1b[2J" not in pipeline


@pytest.mark.usefixtures("models", "pipelines")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("model", "chrun", "1"), 3, "MODEL_NOT_FOUND"),
        (("model", "churn", "3"), 3, "VERSION_NOT_FOUND"),
        (("model", "churn", "1", "tag:x"), 3, "TAG_NOT_FOUND"),
        (("model", "churn", "0"), 2, "INVALID_REFERENCE"),
        (("model", "churn", "1", str(2**70)), 2, "INVALID_REFERENCE"),
        (("model", "churn", "--", "-1"), 2, "INVALID_REFERENCE"),
        (("model", "churn", "x"), 3, "VERSION_NOT_FOUND"),
        (("model", "churn", "\udcff"), 2, "INVALID_REFERENCE"),
        (("model", "\udcff", "1"), 3, "MODEL_NOT_FOUND"),
        (("model", "churn", "1", "--threshold", "nan"), 2, "INVALID_ARGUMENT"),
        (("model", "churn", "1", "--threshold", "5"), 2, "INVALID_ARGUMENT"),
        (("model", "churn", "1", "--threshold", "acu=1%"), 2, "INVALID_ARGUMENT"),
        (("model", "churn"), 2, "USAGE"),
        (("pipeline", "spark://x/weekly", "1"), 3, "PIPELINE_NOT_FOUND"),
        (("pipeline", PIPELINE, "9"), 3, "VERSION_NOT_FOUND"),
        (("pipeline", PIPELINE, "1", "--threshold", "0.1"), 2, "USAGE"),
    ],
)
def test_what_is_not_there_or_malformed(cli: Cli, arguments: tuple[str, ...], exit_code: int, code: str) -> None:
    # `--` ends the options, so those of ours come first.
    result = cli("diff", arguments[0], "--json", "--exit-code", *arguments[1:])

    assert (result.exit_code, result.error["code"]) == (exit_code, code)
    if code == "INVALID_ARGUMENT":
        assert result.error["fields"]["argument"] == "--threshold"
    if code == "VERSION_NOT_FOUND":
        assert "model show MODEL" in result.error["hint"]
