"""`schema print` and `schema check`: the GraphQL schema as text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.output import print_json, print_line

app = typer.Typer(no_args_is_help=True, help="Print the GraphQL schema, or check the committed copy.")

STALE = 1


@app.command("print")
def print_schema(json: options.Json = False) -> None:
    """Print the GraphQL schema in its definition language."""
    from app.graphql.schema import print_sdl

    if json:
        print_json({"sdl": print_sdl()})
        return
    typer.echo(print_sdl().rstrip("\n"))


@app.command("check")
def check_schema(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The committed copy.")] = Path("schema.graphql"),
    json: options.Json = False,
) -> None:
    """Compare a committed schema with this program's.

    The exit code is 1 where they differ.
    """
    import difflib

    from app.errors import InvalidArgumentError
    from app.graphql.schema import print_sdl

    try:
        committed = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError("FILE", f"{path} cannot be read: {error}") from error
    actual = print_sdl().rstrip("\n") + "\n"
    diff = list(
        difflib.unified_diff(committed.splitlines(), actual.splitlines(), str(path), "this program", "", "", 3, "")
    )
    if json:
        print_json({"path": str(path), "current": not diff, "diff": diff})
    elif diff:
        typer.echo("\n".join(diff))
        print_line(f"{path} is stale; write it anew with: stratigraph schema print > {path}")
    else:
        print_line(f"{path} is current.")
    if diff:
        raise typer.Exit(STALE)
