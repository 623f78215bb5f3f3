from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from app.errors import BackendUnavailableError
from app.postgres import run_as
from app.postgres.run_as import RunAs, choose_run_as

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user; run as root too")


def test_ordinary_user_runs_programs_unchanged() -> None:
    as_self = RunAs()

    assert as_self.wrap(["initdb", "-D", "x"]) == ["initdb", "-D", "x"]
    assert (as_self.user, as_self.group, as_self.extra_groups) == (None, None, None)


def test_other_user_is_set_by_subprocess_and_keeps_no_group_of_root() -> None:
    other = RunAs(uid=12, gid=34)

    assert other.wrap(["initdb"]) == ["initdb"]
    assert (other.user, other.group, other.extra_groups) == (12, 34, [])


def test_capability_is_the_only_one_given_and_the_user_is_changed_once() -> None:
    other = RunAs(uid=12, gid=34, capability="dac_read_search")

    argv = other.wrap(["initdb", "-D", "x"])

    assert argv[0] == "setpriv"
    assert {"--reuid=12", "--regid=34", "--clear-groups", "--ambient-caps=-all,+dac_read_search"} <= set(argv)
    assert argv[argv.index("--") + 1 :] == ["initdb", "-D", "x"]
    assert (other.user, other.group, other.extra_groups) == (None, None, None)


@needs_root
def test_root_needs_no_capability_for_a_home_that_everybody_can_search(open_home: Path) -> None:
    chosen = choose_run_as(open_home / "postgres", [open_home])

    assert chosen.uid not in (None, 0)
    assert chosen.capability is None


@needs_root
def test_root_needs_a_capability_for_a_home_below_a_private_directory(open_home: Path) -> None:
    home = open_home / "private" / "home"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)

    assert choose_run_as(home / "postgres", [home]).capability in {"dac_read_search", "dac_override"}
    assert home.parent.stat().st_mode & 0o777 == 0o700


@needs_root
def test_root_runs_as_the_owner_of_an_existing_data_directory(open_home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    data_dir = open_home / "postgres"
    data_dir.mkdir()
    os.chown(data_dir, nobody.pw_uid, nobody.pw_gid)

    assert choose_run_as(data_dir, [open_home]).uid == nobody.pw_uid


@needs_root
def test_unknown_owner_is_a_typed_error(open_home: Path) -> None:
    data_dir = open_home / "postgres"
    data_dir.mkdir()
    os.chown(data_dir, 3_999_999, 3_999_999)

    with pytest.raises(BackendUnavailableError, match="3999999"):
        choose_run_as(data_dir, [open_home])


@needs_root
def test_root_without_capabilities_is_told_what_to_do(open_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = open_home / "private" / "home"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    monkeypatch.setattr(run_as, "SEARCH_CAPABILITIES", ())

    with pytest.raises(BackendUnavailableError, match="STRATIGRAPH_HOME") as caught:
        choose_run_as(home / "postgres", [home])
    assert str(home.parent) in caught.value.message
