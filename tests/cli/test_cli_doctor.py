from pathlib import Path
from typing import Any

import pytest

from app.cli.doctor import mask_password
from tests.cli.results import Cli, Result


def report(result: Result) -> dict[str, Any]:
    import json

    assert result.stderr == ""
    return json.loads(result.stdout)


def by_name(found: dict[str, Any], key: str = "checks") -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in found[key]}


def test_all_is_well(cli: Cli) -> None:
    result = cli("doctor", "--json")

    found = report(result)
    assert result.exit_code == 0
    assert found["ok"] is True
    assert all(check["ok"] for check in found["checks"])
    assert {"home", "disk", "server", "java", "parquet", "warehouse", "postgres", "catalog"} <= set(by_name(found))
    settings = by_name(found, "settings")
    assert settings["database_url"]["source"] == "STRATIGRAPH_DATABASE_URL"
    assert settings["port"] == {"name": "port", "value": "8000", "source": "default"}


@pytest.mark.parametrize(("answer", "said"), [(True, "by compiled code"), (False, "takes about twice as long")])
def test_interpreted_code_is_told_and_no_failure(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: bool, said: str
) -> None:
    monkeypatch.setattr("app.lake.parquet.compiled.is_compiled", lambda: answer)

    found = by_name(report(cli("doctor", "--json")))

    assert found["parquet"]["ok"] is True
    assert said in found["parquet"]["detail"]


def test_no_password_is_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATIGRAPH_DATABASE_URL", "postgresql://ada:s3cret@127.0.0.1:1/lake")

    result = cli("doctor")

    assert "s3cret" not in result.stdout + result.stderr
    assert "postgresql://ada:***@127.0.0.1:1/lake" in result.stdout


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("STRATIGRAPH_DATABASE_URL", "postgresql://u:p@127.0.0.1:1/d", "postgres"),
        ("STRATIGRAPH_CATALOG", "nowhere", "no catalog 'nowhere'"),
        ("STRATIGRAPH_PORT", "http", "STRATIGRAPH_PORT"),
        ("STRATIGRAPH_PRT", "1", "STRATIGRAPH_PORT"),
        ("STRATIGRAPH_HOME", "/proc/nothing", "not writable"),
        ("STRATIGRAPH_HOST", "nope.invalid", "cannot listen on nope.invalid"),
        ("STRATIGRAPH_DATABASE_URL", "postgresql://u:p@[bad/d", "STRATIGRAPH_DATABASE_URL"),
        ("STRATIGRAPH_DATABASE_URL", "postgresql://u:p@127.0.0.1:99999/d", "STRATIGRAPH_DATABASE_URL"),
        ("STRATIGRAPH_DATABASE_URL", "postgresql://u:p@127.0.0.1:1/d?sslmode=bogus", "STRATIGRAPH_DATABASE_URL"),
    ],
)
def test_what_is_broken_is_said_with_exit_code_7(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)

    result = cli("doctor")

    assert result.exit_code == 7
    assert said in result.stdout
    assert "MISSING" in result.stdout
    assert result.stderr == ""


def test_an_embedded_default_that_is_not_set_up_is_left_so(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "never made"
    monkeypatch.setenv("STRATIGRAPH_HOME", str(home))
    monkeypatch.delenv("STRATIGRAPH_DATABASE_URL")

    found = by_name(report(cli("doctor", "--json")))

    assert "not set up yet" in found["postgres"]["detail"]
    assert not home.exists()


def test_an_embedded_postgres_that_is_broken_is_found_out(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "base").mkdir()
    monkeypatch.setenv("STRATIGRAPH_HOME", str(tmp_path))
    monkeypatch.delenv("STRATIGRAPH_DATABASE_URL")

    result = cli("doctor", "--json")

    assert result.exit_code == 7
    assert "no Postgres data directory" in by_name(report(result))["postgres"]["detail"]


def test_a_file_in_the_place_of_the_home_is_found_out(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STRATIGRAPH_HOME", str(tmp_path / "file"))

    result = cli("doctor", "--json")

    assert result.exit_code == 7
    assert by_name(report(result))["home"]["ok"] is False


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:1/d", "postgresql://u:***@h:1/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p%40x@h/d?a=b", "postgresql://u:***@h/d?a=b"),
        ("postgresql://[", "(not a URL)"),
    ],
)
def test_only_the_password_is_masked(url: str, expected: str) -> None:
    assert mask_password(url) == expected
