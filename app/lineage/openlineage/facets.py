"""The facets that are read. One that is wrong is left out with a warning: the event is true without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeVar

from app.domain.events import (
    Alias,
    DatasetId,
    EventField,
    JobFacts,
    JobId,
    Lifecycle,
    LifecycleChange,
    Owner,
    ParentRun,
    RunFailure,
    SourceCode,
    SourceLocation,
)
from app.domain.roles import InputRole
from app.lineage.openlineage.nodes import FaultError, Node, shortened

_MAX_EXPONENT = 100
_DOUBLE_DIGITS = 17
_EXACT_IN_DOUBLE = 2**53

T = TypeVar("T")


def read_facet(facets: Node, name: str, read: Callable[[Node], T]) -> T | None:
    """A facet, None where there is none, it was deleted, or it is wrong."""
    try:
        facet = facets.child(name) if facets.is_given else facets
        if not facet.is_given or facet.child("_deleted").value is True:
            return None
        return read(facet)
    except FaultError as fault:
        fault.node.warn(f"{fault.reason}; the facet {name} is ignored")
        return None


def read_each(nodes: Iterable[Node], read: Callable[[Node], T]) -> tuple[T, ...]:
    """What can be read of these; each that is wrong is left out with a warning."""
    found: list[T] = []
    for node in nodes:
        with leaving_out():
            found.append(read(node))
    return tuple(found)


@contextmanager
def leaving_out() -> Iterator[None]:
    """A part that is wrong becomes a warning."""
    try:
        yield
    except FaultError as fault:
        fault.node.warn(f"{fault.reason}; it is ignored")


def facets_of(owner: Node, name: str = "facets") -> Node:
    """Where the facets of something are; nothing, with a warning, where they are no object."""
    facets = owner.child(name)
    if facets.is_given and not isinstance(facets.value, dict):
        facets.warn("it is not an object; all these facets are ignored")
        facets.value = None
    return facets


def read_job_facts(job: Node) -> JobFacts:
    """Facets sql, sourceCodeLocation, sourceCode and ownership of a job."""
    facets = facets_of(job)
    return JobFacts(
        sql=read_facet(facets, "sql", lambda facet: facet.child("query").text()),
        location=read_facet(facets, "sourceCodeLocation", _location),
        code=read_facet(facets, "sourceCode", _code),
        owners=read_facet(facets, "ownership", read_owners) or (),
    )


def read_parent(facet: Node) -> ParentRun:
    """Facet parent of a run."""
    job = facet.child("job")
    found: JobId | None = None
    if job.is_given:
        with leaving_out():
            found = JobId(namespace=job.child("namespace").name(), name=job.child("name").name())
    return ParentRun(run_id=facet.child("run").child("runId").run_id(), job=found)


def read_failure(facet: Node) -> RunFailure:
    """Facet errorMessage of a run."""
    return RunFailure(message=facet.child("message").text(), stack_trace=facet.optional_text("stackTrace"))


def read_purpose(facet: Node) -> InputRole:
    """Our own facet of an input: what it was read for."""
    node = facet.child("purpose")
    text = node.filled_in()
    if text not in tuple(InputRole):
        node.fail(f"{shortened(text)} is no purpose; there are {', '.join(InputRole)}")
    return InputRole(text)


def read_pipeline_version(facet: Node) -> int:
    """Our own facet of a run: the number of its pipeline's version."""
    node = facet.child("versionNumber")
    value = node.value
    number = int(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else 0
    if number != value or not 1 <= number < 2**31:
        node.fail("it is no number of a version; they are counted from 1")
    return number


def read_recorder(facet: Node) -> str:
    """Our own facet of a run: who recorded it."""
    return facet.child("actor").name()


def read_owners(facet: Node) -> tuple[Owner, ...]:
    """Facet ownership of a job or dataset."""
    return read_each(
        facet.child("owners").elements(),
        lambda owner: Owner(name=owner.child("name").name(), type=owner.optional_text("type")),
    )


def read_version(facet: Node) -> str:
    """Facet version of a dataset: a text; a JSON number in exactly its digits."""
    node = facet.child("datasetVersion")
    value = node.value
    if isinstance(value, Decimal):
        return _digits(node, value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else node.name()


def read_fields(facet: Node) -> tuple[EventField, ...]:
    """Facet schema of a dataset."""
    return read_each(facet.child("fields").elements(), _field)


def read_aliases(facet: Node) -> tuple[Alias, ...]:
    """Facet symlinks of a dataset."""
    return read_each(
        facet.child("identifiers").elements(),
        lambda alias: Alias(
            namespace=alias.child("namespace").name(),
            name=alias.child("name").name(),
            type=alias.optional_text("type") or "",
        ),
    )


def read_lifecycle(facet: Node) -> Lifecycle:
    """Facet lifecycleStateChange of a dataset."""
    node = facet.child("lifecycleStateChange")
    text = node.text().upper()
    if text not in tuple(LifecycleChange):
        node.fail(f"there is no such change; there are {', '.join(LifecycleChange)}")
    previous = facet.child("previousIdentifier")
    found: DatasetId | None = None
    if previous.is_given:
        found = DatasetId(namespace=previous.child("namespace").name(), name=previous.child("name").name())
    elif text == LifecycleChange.RENAME:
        previous.warn("a rename does not say what the dataset was called before")
    return Lifecycle(change=LifecycleChange(text), previous=found)


def read_statistics(facet: Node) -> tuple[int | None, int | None]:
    """Facet outputStatistics: rows and bytes."""
    return facet.optional_count("rowCount"), facet.optional_count("size")


def _location(facet: Node) -> SourceLocation:
    return SourceLocation(
        type=facet.optional_text("type"),
        url=facet.child("url").text(),
        repo_url=facet.optional_text("repoUrl"),
        path=facet.optional_text("path"),
        version=facet.optional_text("version"),
        tag=facet.optional_text("tag"),
        branch=facet.optional_text("branch"),
    )


def _code(facet: Node) -> SourceCode:
    return SourceCode(language=facet.optional_text("language"), code=facet.child("sourceCode").text())


def _field(node: Node) -> EventField:
    return EventField(
        name=node.child("name").name(),
        type=node.optional_text("type"),
        description=node.optional_text("description"),
        fields=read_each(node.child("fields").elements(), _field),
    )


def _digits(node: Node, value: Decimal) -> str:
    if abs(value.adjusted()) > _MAX_EXPONENT:
        node.fail("the number is too large or too small for a version")
    if value != value.to_integral_value():
        return format(value, "f")
    text = format(value, "f").partition(".")[0]
    _, digits, exponent = value.as_tuple()
    told = len("".join(map(str, digits)).rstrip("0"))
    # An id of 64 bits that went through a double has lost its last digits, and looks like this.
    if exponent != 0 and abs(value) > _EXACT_IN_DOUBLE and told <= _DOUBLE_DIGITS:
        node.warn(f"the version is a floating-point number, and may have lost digits; it was taken as {text}")
    return text
