"""As which operating-system user the embedded Postgres runs."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import BackendUnavailableError

ACCOUNT = "pgserver"
ACCOUNT_ATTEMPTS = 10
ACCOUNT_RETRY_S = 0.2
# Either lets a process search directories that its user may not; the first allows nothing else but reading, the
# second is the one that containers leave to root by default.
SEARCH_CAPABILITIES = (("dac_read_search", 2), ("dac_override", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """How to run Postgres's programs: as ourselves (`uid` None), or as another user with at most one capability."""

    uid: int | None = None
    gid: int | None = None
    capability: str | None = None

    def wrap(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv`, to be started with `user` and `group` of this object."""
        if self.capability is None:
            return list(argv)
        capabilities = f"-all,+{self.capability}"
        return [
            *("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--no-new-privs"),
            # Else access(2), by which the programs look for each other, would leave the capability out of account.
            "--securebits=+no_setuid_fixup",
            *(f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", "--", *argv),
        ]

    @property
    def user(self) -> int | None:
        """The `user` argument for subprocess; None where `wrap` changes the user."""
        return self.uid if self.capability is None else None

    @property
    def group(self) -> int | None:
        """The `group` argument for subprocess; None where `wrap` changes the group."""
        return self.gid if self.capability is None else None

    @property
    def extra_groups(self) -> list[int] | None:
        """The `extra_groups` argument for subprocess: none of root's groups are kept."""
        return None if self.user is None else []

    def own(self, path: Path) -> None:
        """Give `path` to the user that Postgres runs as."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def choose_run_as(data_dir: Path, must_reach: Iterable[Path]) -> RunAs:
    """The way to run Postgres on `data_dir` from this process.

    Postgres refuses to run as root. An ordinary user runs it as itself. Root runs it as the owner of the data
    directory, at first a system account of its own. Where that account cannot search a directory above the home or
    the programs (``/root`` is 0700), no permission is widened: the server is given the single capability to search
    directories, as an ambient one. Nobody can use it through SQL, because the one role that may connect is no
    superuser and cannot read files of the server.

    Raises:
        BackendUnavailableError: the account cannot be made, or could not reach the home.
    """
    if os.geteuid() != 0:
        return RunAs()
    owner = data_dir.stat().st_uid if data_dir.exists() else 0
    try:
        account = pwd.getpwuid(owner) if owner else _ensure_account()
    except KeyError as error:
        raise BackendUnavailableError("postgres", f"{data_dir} belongs to user id {owner}, who is unknown") from error
    blocked = [p for path in must_reach for p in (path, *path.parents) if not _may_search(p, account)]
    if not blocked:
        return RunAs(uid=account.pw_uid, gid=account.pw_gid)
    capability = _search_capability()
    if capability is None or shutil.which("setpriv") is None:
        raise BackendUnavailableError(
            "postgres",
            f"it runs as user {account.pw_name!r}, who may not search {blocked[0]}; set STRATIGRAPH_HOME to a "
            "directory that this user can reach, start as an ordinary user, or set STRATIGRAPH_DATABASE_URL",
        )
    return RunAs(uid=account.pw_uid, gid=account.pw_gid, capability=capability)


def _may_search(directory: Path, account: pwd.struct_passwd) -> bool:
    if not directory.exists():
        return True
    found = directory.stat()
    if found.st_uid == account.pw_uid:
        bit = stat.S_IXUSR
    elif found.st_gid == account.pw_gid:
        bit = stat.S_IXGRP
    else:
        bit = stat.S_IXOTH
    return bool(found.st_mode & bit)


def _search_capability() -> str | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    effective = next(int(line.split()[1], 16) for line in status.read_text().splitlines() if line.startswith("CapEff"))
    return next((name for name, bit in SEARCH_CAPABILITIES if effective >> bit & 1), None)


def _ensure_account() -> pwd.struct_passwd:
    reason = ""
    for _ in range(ACCOUNT_ATTEMPTS):
        try:
            return pwd.getpwnam(ACCOUNT)
        except KeyError:
            # May fail just because another process is about to make it: useradd locks the user database.
            reason = _make_account()
        if not reason:
            continue
        time.sleep(ACCOUNT_RETRY_S)
    raise BackendUnavailableError(
        "postgres",
        f"it does not run as root, and no system account {ACCOUNT!r} could be made for it ({reason}); "
        "start as an ordinary user, or set STRATIGRAPH_DATABASE_URL",
    )


def _make_account() -> str:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return "there is no useradd"
    made = subprocess.run(  # noqa: S603 - constant arguments
        [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", ACCOUNT],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode == 0:
        return ""
    return made.stderr.strip() or f"useradd ended with {made.returncode}"
