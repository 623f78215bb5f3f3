"""The JUnit file of a check: what CI reads, however the check ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from app.cli.junit import JUnitFile
from app.domain.checks.results import CheckKind, CheckResult, CheckSubject, Finding
from tests.changed_tables import CHANGED, OPENED, PRICES, ChangedLake, changed_lake
from tests.cli.results import Cli
from tests.lake_tables import SmallLake

__all__ = ["changed_lake"]

ASKED = ("check", "rows", PRICES, OPENED, CHANGED)


@pytest.fixture
def lake(changed_lake: ChangedLake) -> SmallLake:
    return changed_lake.lake


def counts(suite: ET.Element) -> tuple[str, ...]:
    return tuple(suite.attrib[name] for name in ("tests", "failures", "errors", "skipped"))


def test_a_check_that_passed(cli: Cli, tmp_path: Path) -> None:
    # given no folder yet
    target = tmp_path / "reports" / "rows.xml"

    result = cli(*ASKED, "--max-removed", "25%", "--junit", str(target))

    assert (result.exit_code, result.stdout.startswith("✓ ")) == (0, True)
    (suite,) = ET.parse(target).getroot()
    assert counts(suite) == ("1", "0", "0", "0")
    (case,) = suite
    assert (case.attrib["classname"], case.attrib["name"]) == ("stratigraph.check.rows", PRICES)
    assert [(each.get("name"), each.get("value")) for each in case.iter("property")] == [
        ("from", OPENED),
        ("to", CHANGED),
    ]
    assert case.find("failure") is None and case.find("error") is None


def test_a_check_that_did_not_pass_to_stdout_alone(cli: Cli) -> None:
    result = cli(*ASKED, "--junit", "-")

    assert (result.exit_code, result.stderr) == (9, "")
    (suite,) = ET.fromstring(result.stdout)
    assert counts(suite) == ("1", "1", "0", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"] == f"rows of {PRICES} from {OPENED} to {CHANGED}: did not pass"
    assert failure.text == "1 of 4 rows went (25 %), and 10 % are allowed"


@pytest.mark.parametrize("arguments", [(PRICES, "nope"), (PRICES, OPENED, "--max-removed", "x"), ("x\x00\x1b", "y")])
def test_an_error_takes_the_place_of_a_pass_of_before(cli: Cli, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    target = tmp_path / "rows.xml"
    assert cli(*ASKED, "--max-removed", "25%", "--junit", str(target)).exit_code == 0

    result = cli("check", "rows", *arguments, "--junit", str(target), "--json")

    assert result.exit_code not in (0, 9)
    (suite,) = ET.parse(target).getroot()
    assert counts(suite) == ("1", "0", "1", "0")
    error = suite.find("testcase/error")
    assert error is not None and error.attrib["message"] == result.error["code"]


def test_a_fault_takes_the_place_of_a_pass_of_before(tmp_path: Path) -> None:
    target = tmp_path / "rows.xml"
    target.write_text("<testsuites/>")
    junit = JUnitFile(target=str(target), kind="rows", name=PRICES)

    with pytest.raises(ZeroDivisionError), junit.being_written():
        raise ZeroDivisionError

    error = ET.parse(target).getroot().find("testsuite/testcase/error")
    assert error is not None and error.attrib["message"] == "UNFINISHED"


def test_what_xml_cannot_carry_is_written_out(tmp_path: Path) -> None:
    hostile = "\x00\x08\x1b[2J\ud800\ufffe<&>\"']]>\r\n\tü"
    subject = CheckSubject(kind=CheckKind.SCHEMA, name=hostile, before=hostile, after=hostile)
    findings = (
        Finding(subject=hostile, message=hostile),
        Finding(subject=hostile, message=hostile, is_failure=False),
    )
    target = tmp_path / "hostile.xml"

    JUnitFile(target=str(target), kind="schema", name=hostile).write(
        CheckResult(subject=subject, checked=1, findings=findings)
    )

    case = ET.parse(target).getroot().find("testsuite/testcase")
    assert case is not None
    written_out = "\\x00\\x08\\x1b[2J\\ud800\\ufffe<&>\"']]>\\r\\n\\tü"
    assert case.attrib["name"] == written_out
    assert [case.findtext("failure"), case.findtext("system-out")] == [written_out, written_out]
    assert {each.get("value") for each in case.iter("property")} == {written_out}


@pytest.mark.parametrize("target", ["/dev/full", "", ".", "a\x00b"])
def test_a_file_that_cannot_be_written_is_refused(cli: Cli, target: str) -> None:
    result = cli(*ASKED, "--json", "--junit", target)

    assert (result.exit_code, result.error["code"]) == (2, "INVALID_ARGUMENT")
    assert result.error["fields"]["argument"] == "--junit"


def test_it_looks_as_that_of_pytest(cli: Cli, tmp_path: Path) -> None:
    """Elements, and of each the attributes that ours has: CI reads what pytest writes."""
    (tmp_path / "test_it.py").write_text("def test_it(record_property):\n    record_property('a', 1)\n    assert 0\n")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml=of_pytest.xml", "test_it.py"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        timeout=60,
    )
    cli(*ASKED, "--junit", str(tmp_path / "ours.xml"))

    theirs, ours = (ET.parse(tmp_path / name).getroot() for name in ("of_pytest.xml", "ours.xml"))

    assert [element.tag for element in ours.iter()][:5] == [element.tag for element in theirs.iter()][:5]
    known = {element.tag: set(element.attrib) for element in theirs.iter()}
    assert all(set(element.attrib) <= known[element.tag] for element in ours.iter())
