from pathlib import Path

from graphql import build_schema

from tests.cli.results import Cli


def test_print_writes_a_schema_that_check_finds_current(cli: Cli, tmp_path: Path) -> None:
    printed = cli("schema", "print").stdout
    copy = tmp_path / "schema.graphql"
    copy.write_text(printed)

    assert build_schema(printed, assume_valid=True).query_type is not None
    assert cli("schema", "check", str(copy), "--json").answer == {"path": str(copy), "current": True, "diff": []}
    assert cli("schema", "print", "--json").answer["sdl"].strip() == printed.strip()


def test_check_shows_the_difference_and_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    copy = tmp_path / "schema.graphql"
    copy.write_text(cli("schema", "print").stdout.replace("type Query", "type Old", 1))

    result = cli("schema", "check", str(copy))

    assert result.exit_code == 1
    assert "-type Old" in result.stdout
    assert "schema print >" in result.stdout
