"""`doctor`: in plain words what is configured, reachable and missing. It never fails itself, whatever is broken."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import typer

from app.cli import options
from app.cli.output import Column, print_json, print_line, print_table
from app.errors import HANDLING, AppError, Category

if TYPE_CHECKING:
    from app.settings import Settings

UNHEALTHY = HANDLING[Category.UNAVAILABLE].exit_code
LEAST_FREE_BYTES = 1024**3
OPEN_TIMEOUT_S = 60
JAVA_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `hint` says what to do where it is not well."""

    name: str
    ok: bool
    detail: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingInForce:
    """One setting, passwords masked, and where it came from."""

    name: str
    value: str
    source: str


def doctor(json: options.Json = False) -> None:
    """Say what is configured, reachable and missing.

    The exit code is 7 where something is missing, else 0.
    """
    from app.settings import load_settings

    settings_in_force: list[SettingInForce] = []
    try:
        settings = load_settings()
    except AppError as error:
        findings = [Finding(name="settings", ok=False, detail=error.message, hint="docs/settings.md explains each.")]
    else:
        settings_in_force = list(_settings_in_force(settings))
        findings = [*_look_at_machine(settings), *_look_at_backends(settings)]
    is_well = all(finding.ok for finding in findings)
    if json:
        print_json(
            {
                "ok": is_well,
                "settings": [asdict(setting) for setting in settings_in_force],
                "checks": [asdict(finding) for finding in findings],
            }
        )
    else:
        _print_for_people(settings_in_force, findings)
    if not is_well:
        raise typer.Exit(UNHEALTHY)


def mask_password(url: str) -> str:
    """The URL with stars for its password."""
    try:
        parts = urlsplit(url)
        if parts.password is None:
            return url
    except ValueError:
        return "(not a URL)"
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))


def _print_for_people(settings: list[SettingInForce], findings: list[Finding]) -> None:
    if settings:
        columns = [Column(header="SETTING", is_id=True), Column(header="VALUE"), Column(header="FROM", is_id=True)]
        print_table(columns, [(setting.name, setting.value, setting.source) for setting in settings])
        print_line()
    for finding in findings:
        print_line(f"{'ok     ' if finding.ok else 'MISSING'}  {finding.name}: {finding.detail}")
        if finding.hint:
            print_line(f"         {finding.hint}")
    missing = sum(not finding.ok for finding in findings)
    print_line()
    print_line("Everything is well." if not missing else f"{missing} of {len(findings)} checks need attention.")


def _settings_in_force(settings: Settings) -> Iterator[SettingInForce]:
    from app.settings import env_name

    for name in type(settings).model_fields:
        value = getattr(settings, name)
        text = ",".join(value) if isinstance(value, tuple) else "(not set)" if value is None else str(value)
        if name == "database_url" and value is not None:
            text = mask_password(text)
        variable = env_name(name)
        yield SettingInForce(name=name, value=text, source=variable if variable in os.environ else "default")


def _look_at_machine(settings: Settings) -> Iterator[Finding]:
    from app.postgres.locks import find_server

    nearest = _nearest_existing(settings.home)
    reason = _why_not_writable(nearest)
    there = "exists" if settings.home.exists() else f"will be made in {nearest}"
    yield Finding(
        name="home",
        ok=reason is None,
        detail=f"{settings.home} {there} and is {'writable' if reason is None else f'not writable: {reason}'}",
        hint=None if reason is None else "Set STRATIGRAPH_HOME to a folder of yours.",
    )
    free = shutil.disk_usage(nearest).free
    yield Finding(
        name="disk",
        ok=free >= LEAST_FREE_BYTES,
        detail=f"{free / 1024**3:.1f} GiB free at {nearest}",
        hint=None if free >= LEAST_FREE_BYTES else "Less than 1 GiB is left: Postgres stops when the disk is full.",
    )
    try:
        server = find_server(settings.home)
    except OSError as error:
        yield Finding(name="server", ok=False, detail=f"cannot be looked for: {error}")
    else:
        detail = "none runs on this home" if server is None else f"runs at {server.url} (process {server.pid})"
        yield Finding(name="server", ok=True, detail=detail)
    yield _look_at_address(settings)
    yield _look_for_java()
    yield _look_for_compiled()
    if settings.is_catalog_embedded:
        yield _look_at_warehouse(settings)


def _look_at_address(settings: Settings) -> Finding:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        # Any port: the one that is set may be the running server's.
        with socket.create_server((settings.host, 0), family=family):
            return Finding(name="host", ok=True, detail=f"{settings.host} is an address of this machine")
    except OSError as error:
        detail = f"cannot listen on {settings.host}: {error.strerror or error}"
        return Finding(name="host", ok=False, detail=detail, hint="Set STRATIGRAPH_HOST to an address of this machine.")


def _look_at_warehouse(settings: Settings) -> Finding:
    nearest = _nearest_existing(settings.warehouse)
    reason = _why_not_writable(nearest)
    return Finding(
        name="warehouse",
        ok=reason is None,
        detail=f"{settings.warehouse} is {'writable' if reason is None else f'not writable: {reason}'}",
        hint=None if reason is None else f"Give this user the right to write to {nearest}.",
    )


def _look_for_java() -> Finding:
    why = "only the Spark and REST catalog suites of this repository need it"
    program = shutil.which("java")
    if program is None:
        return Finding(name="java", ok=True, detail=f"not installed; {why}")
    try:
        done = subprocess.run(  # noqa: S603  the path is the one of the search above
            [program, "-version"], capture_output=True, text=True, timeout=JAVA_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name="java", ok=True, detail=f"{program} does not run ({error}); {why}")
    said = (done.stderr or done.stdout).strip().splitlines()
    return Finding(name="java", ok=True, detail=f"{said[0] if said else program}; {why}")


def _look_for_compiled() -> Finding:
    from app.lake.parquet.compiled import is_compiled

    if is_compiled():
        return Finding(name="parquet", ok=True, detail="pages are copied by compiled code")
    detail = "pages are copied by interpreted code, which takes about twice as long as compiled"
    return Finding(name="parquet", ok=True, detail=detail)


def _look_at_backends(settings: Settings) -> list[Finding]:
    if settings.is_database_embedded:
        from app.postgres.embedded import EmbeddedPostgres

        try:
            status = EmbeddedPostgres(settings.home).status()
        except (OSError, AppError) as error:
            return [Finding(name="postgres", ok=False, detail=f"embedded, and cannot be looked at: {error}")]
        if status.version is None and _has_files(status.data_dir):
            detail = f"embedded, and {status.data_dir} is no Postgres data directory"
            return [
                Finding(name="postgres", ok=False, detail=detail, hint="Restore it, or move it away and begin anew.")
            ]
        if status.version is None:
            detail = "embedded, not set up yet: the first command that needs it does that"
            return [Finding(name="postgres", ok=True, detail=detail, hint="Run `stratigraph serve` to begin.")]
    return _ask_backends(settings)


def _has_files(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def _ask_backends(settings: Settings) -> list[Finding]:
    import anyio

    from app.lake.configuration import check_configuration

    try:
        check_configuration()
    except AppError as error:
        return [Finding(name="catalog", ok=False, detail=error.message, hint="Mend it, or move it away.")]
    from app.bootstrap import open_services

    async def ask() -> list[Finding]:
        with anyio.fail_after(OPEN_TIMEOUT_S):
            async with open_services(settings) as services:
                report = await services.health.check()
                return [
                    Finding(name=check.name, ok=check.ok, detail=check.detail, hint=check.hint)
                    for check in report.checks
                ]

    try:
        return anyio.run(ask)
    except AppError as error:
        name = str(error.fields.get("backend") or error.fields.get("setting") or "backends")
        return [Finding(name=name, ok=False, detail=error.message, hint=_where_to_look(settings, name))]
    except TimeoutError:
        return [Finding(name="backends", ok=False, detail=f"no answer within {OPEN_TIMEOUT_S} s")]
    except Exception as error:  # noqa: BLE001  a doctor reports what is broken, whatever it is
        return [Finding(name="backends", ok=False, detail=f"{type(error).__name__}: {error}")]


def _where_to_look(settings: Settings, name: str) -> str | None:
    if name == "postgres":
        if settings.database_url is None:
            return f"Its log is in {settings.home / 'postgres'}."
        return f"STRATIGRAPH_DATABASE_URL is {mask_password(settings.database_url)}."
    if name == "catalog" and settings.catalog is not None:
        return f"STRATIGRAPH_CATALOG is {settings.catalog!r}, configured by .pyiceberg.yaml or PYICEBERG_CATALOG__…."
    return None


def _nearest_existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _why_not_writable(folder: Path) -> str | None:
    # Tried instead of asked: the permission bits say nothing of read-only mounts, quotas and root.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)
