"""Arguments and options that commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Dataset = Annotated[str, typer.Argument(metavar="NS.TABLE", help="The dataset, such as gold.customers.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, and errors as JSON to stderr.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept in the record.")]
ActorName = Annotated[
    str | None, typer.Option("--actor", metavar="NAME", help="Who; the user of the operating system unless given.")
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key", metavar="KEY", help="The same key with the same request answers the first outcome again."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Change a protected tag all the same.")]
ExpectedHead = Annotated[
    str | None,
    typer.Option("--expected-head", metavar="ID", help="Change nothing unless the branch is at this snapshot."),
]
ExpectedTarget = Annotated[
    str | None,
    typer.Option("--expected-target", metavar="ID", help="Change nothing unless the tag is on this snapshot."),
]
