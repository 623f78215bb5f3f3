"""`models` and `model`: what was trained, on which data, and how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.output import Column, print_json, print_line, print_note, print_table
from app.cli.registry_arguments import (
    At,
    Limit,
    Test,
    Training,
    Validation,
    check_limit,
    named_as_options,
    print_fact,
    read_metric,
    read_parameters,
    read_uses,
    read_uuid,
    to_second,
)
from app.cli.session import make_command, with_services
from app.cli.version_tagging import Expected, Move, Protected, TagAt, TagName, put_tag, remove_tag

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.services.registry_entries import ModelEntry, ModelVersionEntry

app = typer.Typer(no_args_is_help=True, help="Versions of a model: see, register, tag and archive them.")

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, such as churn.")]


def models(
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only those whose names begin so.")] = "",
    limit: Limit = 100,
    json: options.Json = False,
) -> None:
    """List the models with their latest version."""
    from app.services.whole_lists import counted_entries

    most = check_limit(limit)
    found, total = with_services(
        lambda services: counted_entries(lambda request: services.entries.list_models(prefix, request), limit=most)
    )
    if json:
        print_json({"models": found, "total": total})
        return
    columns = [
        Column(header="MODEL", is_id=True),
        Column(header="LATEST", is_id=True),
        Column(header="CREATED (UTC)", is_id=True),
        Column(header="DESCRIPTION"),
    ]
    print_table(columns, [_model_row(entry) for entry in found])
    if len(found) < total:
        print_note(f"There are {total}; --limit shows more.")


@app.command("show")
def show_model(
    name: ModelName,
    at: At = None,
    json: options.Json = False,
) -> None:
    """Show the versions of a model, or with REF one of them.

    Whether it can still be reproduced is looked up in its tables.
    """
    if at is None:
        _show_versions(name, as_json=json)
        return

    async def look(services: Services) -> tuple[ModelVersionEntry, bool | None]:
        version = await services.models.get_version(name, at)
        return await services.entries.of_model_version(version), await services.models.is_reproducible(version)

    entry, is_reproducible = with_services(look)
    if json:
        print_json({**entry, "reproducible": is_reproducible})
        return
    _print_version(entry)
    answer = {True: "yes, all of it can be read", False: "no, some of it is gone", None: "it does not say on what"}
    print_line(f"Reproducible: {answer[is_reproducible]}")


@app.command("card")
def show_card(name: ModelName, at: At = None, json: options.Json = False) -> None:
    """Show the card of a version: what it is, how good, and the very data it was trained on."""
    card = with_services(lambda services: services.model_cards.get(name, at))
    if json:
        print_json(card)
        return
    print_line(f"{card['model_name']} v{card['version']}, {card['created_at']}")
    print_fact("Framework", card["framework"])
    print_fact("Tags", " ".join(card["tags"]))
    for measure, value in card["metrics"].items():
        print_line(f"Metric {measure}: {'no number' if value is None else value}")
    _print_parameters(card["parameters"])
    for use in card["training_datasets"]:
        print_line(f"{use['role'].capitalize()} data: {use['dataset']} @ {use['version']}")


@app.command("register")
def register_model(
    name: ModelName,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME=VALUE", help="A metric: auc=0.91, or rmse=1.2:lower; may be repeated."),
    ] = None,
    training: Training = None,
    validation: Validation = None,
    test: Test = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A parameter: JSON, else a text; may be repeated."),
    ] = None,
    framework: Annotated[
        str | None, typer.Option("--framework", metavar="TEXT", help="What it was made with, such as scikit-learn.")
    ] = None,
    artifact_uri: Annotated[str | None, typer.Option("--artifact-uri", metavar="URI", help="Where it is.")] = None,
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="What the model is for.")
    ] = None,
    run_id: Annotated[str | None, typer.Option("--run-id", metavar="UUID", help="The run that made it.")] = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Register the next version of a model.

    The snapshots it was trained on are kept until it is archived.
    """
    from app.domain.models import NewModelVersion
    from app.domain.roles import InputRole
    from app.services.model_registration import TrainingInput

    async def change(services: Services) -> dict[str, Any]:
        done = await services.registration.register(new, data, command)
        entry = await services.entries.of_model_version(done.version)
        change_id = None if done.change_id is None else str(done.change_id)
        return {"model_version": entry, "warnings": list(done.warnings), "change_id": change_id}

    with named_as_options():
        new = NewModelVersion(
            model=name,
            description=description,
            framework=framework,
            artifact_uri=artifact_uri,
            parameters=read_parameters(param),
            metrics=tuple(read_metric(text) for text in metric or ()),
            run_id=None if run_id is None else read_uuid("--run-id", run_id),
        )
        uses = [
            *read_uses(training, InputRole.TRAINING),
            *read_uses(validation, InputRole.VALIDATION),
            *read_uses(test, InputRole.TEST),
        ]
        data = [TrainingInput(dataset=dataset, at=at, role=role) for dataset, at, role in uses]
        command = make_command(actor, reason, idempotency_key)
        answer = with_services(change)
    if json:
        print_json(answer)
        return
    entry = answer["model_version"]
    print_line(f"Registered {entry['model']} v{entry['number']}.")
    for use in entry["training_data"]:
        print_line(f"  {use['role'].lower()} on {use['dataset']} @ {use['snapshot_id']}, which is kept for it")
    for warning in answer["warnings"]:
        print_note(f"Warning: {warning}")


@app.command("archive")
def archive_model(
    name: ModelName,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the version.")],
    cold_storage_uri: Annotated[
        str | None, typer.Option("--cold-storage-uri", metavar="URI", help="Where its artifact is to go.")
    ] = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Take a version out of use.

    Its data is no longer kept for it; its record stays.
    """

    async def change(services: Services) -> dict[str, Any]:
        done = await services.registration.archive(name, number, command, cold_storage_uri=cold_storage_uri)
        entry = await services.entries.of_model_version(done.version)
        change_id = None if done.change_id is None else str(done.change_id)
        return {"model_version": entry, "unchanged": done.is_unchanged, "change_id": change_id}

    with named_as_options():
        command = make_command(actor, reason, idempotency_key)
        answer = with_services(change)
    if json:
        print_json(answer)
        return
    entry = answer["model_version"]
    verb = "was archived already" if answer["unchanged"] else "archived"
    print_line(f"{entry['model']} v{entry['number']} {verb}, {entry['archived_at']}.")


@app.command("tag")
def tag_model(
    name: ModelName,
    tag: TagName,
    at: TagAt = None,
    move: Move = False,
    protected: Protected = False,
    force: options.Force = False,
    expected: Expected = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Name a version of a model, or move a name to it."""
    from app.domain.changes import ModelSubject

    put_tag(
        ModelSubject(name=name),
        tag,
        at,
        move=move,
        protected=protected,
        force=force,
        expected=expected,
        reason=reason,
        actor=actor,
        idempotency_key=idempotency_key,
        as_json=json,
    )


@app.command("untag")
def untag_model(
    name: ModelName,
    tag: TagName,
    force: options.Force = False,
    expected: Expected = None,
    reason: options.Reason = None,
    actor: options.ActorName = None,
    idempotency_key: options.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Remove a tag from a version of a model."""
    from app.domain.changes import ModelSubject

    remove_tag(
        ModelSubject(name=name),
        tag,
        force=force,
        expected=expected,
        reason=reason,
        actor=actor,
        idempotency_key=idempotency_key,
        as_json=json,
    )


def _show_versions(name: str, *, as_json: bool) -> None:
    from app.services.whole_lists import all_entries

    async def look(services: Services) -> tuple[ModelEntry, list[ModelVersionEntry]]:
        model = await services.entries.model(name)
        return model, await all_entries(lambda request: services.entries.list_model_versions(name, request))

    model, versions = with_services(look)
    if as_json:
        print_json({**model, "versions": versions})
        return
    print_fact("Description", model["description"])
    columns = [
        Column(header="VERSION", is_id=True),
        Column(header="CREATED (UTC)", is_id=True),
        Column(header="BY"),
        Column(header="FRAMEWORK"),
        Column(header="METRICS"),
        Column(header="TRAINED ON"),
        Column(header="TAGS"),
        Column(header="ARCHIVED"),
    ]
    print_table(columns, [_version_row(entry) for entry in versions])


def _model_row(entry: ModelEntry) -> list[str]:
    latest = "" if entry["latest"] is None else f"v{entry['latest']}"
    return [entry["name"], latest, to_second(entry["created_at"]), entry["description"] or ""]


def _version_row(entry: ModelVersionEntry) -> list[str]:
    return [
        entry["label"],
        to_second(entry["created_at"]),
        entry["created_by"],
        entry["framework"] or "",
        " ".join(f"{metric['name']}={metric['value']}" for metric in entry["metrics"]),
        " ".join(
            f"{use['dataset']}@{use['snapshot_id']}" for use in entry["training_data"] if use["role"] == "TRAINING"
        ),
        " ".join(entry["tags"]),
        "" if entry["archived_at"] is None else to_second(entry["archived_at"]),
    ]


def _print_version(entry: ModelVersionEntry) -> None:
    why = f": {entry['reason']}" if entry["reason"] else ""
    print_line(f"{entry['model']} v{entry['number']}, {entry['created_at']} by {entry['created_by']}{why}")
    print_fact("Framework", entry["framework"])
    print_fact("Artifact", entry["artifact_uri"])
    print_fact("Run", entry["run_id"])
    print_fact("Tags", " ".join(entry["tags"]))
    print_fact("Archived", entry["archived_at"])
    for metric in entry["metrics"]:
        better = {True: ", higher is better", False: ", lower is better", None: ""}[metric["higher_is_better"]]
        print_line(f"Metric {metric['name']}: {metric['value']}{better}")
    _print_parameters(entry["parameters"])
    for use in entry["training_data"]:
        inferred = " (inferred)" if use["inferred"] else ""
        print_line(f"{use['role'].capitalize()} data: {use['dataset']} @ {use['snapshot_id']}{inferred}")


def _print_parameters(parameters: dict[str, Any]) -> None:
    import orjson

    for name, value in sorted(parameters.items()):
        print_line(f"Parameter {name}: {value if isinstance(value, str) else orjson.dumps(value).decode()}")
