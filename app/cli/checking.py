"""`check`: guards for deploys, which end with an exit code of their own where a version may not go out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.differences import From, Line, Mark, Other, To, print_lines, read_target
from app.cli.junit import STDOUT, JUnitFile
from app.cli.models import ModelName
from app.cli.output import print_json
from app.cli.registry_diffs import Threshold
from app.cli.row_diffs import AnySize, Keys, NoKey, read_keys
from app.cli.session import with_services
from app.errors import InvalidArgumentError

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.checks.results import CheckResult

# Of its own, so that a script can tell a version that may not go out from a fault of the program (1) and from what
# could not be told (2 to 8).
NOT_PASSED = 9

app = typer.Typer(no_args_is_help=True, help="Whether a version may go out: exit code 0 where it may, 9 where not.")

JUnit = Annotated[
    str | None,
    typer.Option("--junit", metavar="FILE", help="Write a JUnit file for CI too; - is stdout, instead of all else."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="COLUMN", help="Let any change of this column through; may be repeated."),
]
Breaking = Annotated[
    bool, typer.Option("--breaking", help="Fail on anything that breaks readers or writers, not only on what is lost.")
]
MaxRemoved = Annotated[
    str, typer.Option("--max-removed", metavar="SHARE", help="How many rows may go: 0.1 or 10%.", show_default=True)
]
MinRows = Annotated[int, typer.Option("--min-rows", metavar="N", help="How many rows there have to be at least.")]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Let it pass where a metric is gone, or none can be compared.")
]


@app.command("schema")
def check_schema(
    dataset: options.Dataset,
    from_version: From,
    to_version: To = None,
    other: Other = None,
    allow: Allow = None,
    breaking: Breaking = False,
    junit: JUnit = None,
    json: options.Json = False,
) -> None:
    """Check that no column was removed or renamed, and that no type changed but by promotion."""

    def prepare() -> Check:
        from app.domain.checks.schemas import SchemaRules
        from app.domain.names import DatasetName

        name = DatasetName.parse(dataset)
        other_name, to = read_target(to_version, other)
        rules = SchemaRules(allowed=tuple(allow or ()), fails_on_breaking=breaking)
        return lambda services: services.checking.schema(name, from_version, to, rules, to_dataset=other_name)

    _run(JUnitFile(target=junit, kind="schema", name=dataset), prepare, as_json=json)


@app.command("rows")
def check_rows(
    dataset: options.Dataset,
    from_version: From,
    to_version: To = None,
    other: Other = None,
    max_removed: MaxRemoved = "10%",
    min_rows: MinRows = 0,
    keys: Keys = None,
    no_key: NoKey = False,
    any_size: AnySize = False,
    junit: JUnit = None,
    json: options.Json = False,
) -> None:
    """Check that not too many rows went: those that are in FROM and, by their key or as they are, not in TO."""

    def prepare() -> Check:
        from app.domain.checks.rows import RowRules
        from app.domain.metrics_diff import parse_threshold
        from app.domain.names import DatasetName

        name = DatasetName.parse(dataset)
        other_name, to = read_target(to_version, other)
        rules = RowRules(max_removed=parse_threshold(max_removed, "maxRemoved"), min_rows=min_rows)
        key = read_keys(keys, no_key=no_key)
        return lambda services: services.checking.rows(
            name,
            from_version,
            to,
            rules,
            keys=key,
            any_size=any_size,
            to_dataset=other_name,
        )

    _run(JUnitFile(target=junit, kind="rows", name=dataset), prepare, as_json=json)


@app.command("model")
def check_model(
    name: ModelName,
    from_version: From,
    to_version: To = None,
    threshold: Threshold = None,
    allow_missing: AllowMissing = False,
    junit: JUnit = None,
    json: options.Json = False,
) -> None:
    """Check that no metric got worse by more than 5 %, or by more than its threshold."""

    def prepare() -> Check:
        from app.domain.metrics_diff import parse_thresholds

        thresholds = parse_thresholds(threshold or ())
        return lambda services: services.checking.model(
            name, from_version, to_version, thresholds, allow_missing=allow_missing
        )

    _run(JUnitFile(target=junit, kind="model", name=name), prepare, as_json=json)


Check = Callable[["Services"], Coroutine[Any, Any, "CheckResult"]]


def _run(junit: JUnitFile, prepare: Callable[[], Check], *, as_json: bool) -> None:
    from app.domain.metrics_diff import BY_METRIC, OVERALL
    from app.services.argument_names import arguments_named, option_name
    from app.services.check_entries import check_entry

    if as_json and junit.is_stdout:
        raise InvalidArgumentError("--junit", f"--json and `--junit {STDOUT}` both write to stdout; give a file")
    special = {OVERALL: "--threshold", BY_METRIC: "--threshold", "keys": "--key"}
    with junit.being_written(), arguments_named(option_name, special):
        result = with_services(prepare())
        junit.write(result)
    if as_json:
        print_json(check_entry(result))
    elif not junit.is_stdout:
        print_lines(_lines(result))
    if not result.passed:
        raise typer.Exit(NOT_PASSED)


def _lines(result: CheckResult) -> Iterator[Line]:
    from app.domain.checks.results import LOOKED_AT

    for finding in result.findings:
        yield Line(mark=Mark.WARNING if finding.is_failure else Mark.CHANGED, text=finding.message)
    verdict = "passed" if result.passed else "did not pass"
    looked_at = f"{result.checked:,} {LOOKED_AT[result.subject.kind]} looked at"
    yield Line(mark=Mark.PASSED if result.passed else Mark.FAILED, text=f"{result.name}: {verdict} ({looked_at})")
