"""What a change reaches, and how much that matters.

What an affected thing weighs, where the change is one hop away:

| what is affected                               | ANY, SCHEMA, DELETE | ROLLBACK | DATA   |
|------------------------------------------------|---------------------|----------|--------|
| production dataset                             | CRITICAL            | CRITICAL | HIGH   |
| live model with a production tag               | CRITICAL            | CRITICAL | HIGH   |
| live model                                     | HIGH                | HIGH     | MEDIUM |
| pipeline                                       | HIGH                | MEDIUM   | LOW    |
| any other dataset, external ones too           | MEDIUM              | MEDIUM   | LOW    |
| archived model, dataset that the catalog lacks | LOW                 | LOW      | LOW    |

Two or three hops away it is one step less, from four hops on two. Where columns were asked about and no column lineage
tells whether they matter, it *may* be affected, which is another step less. It is never less than LOW.

ANY is as bad as the worst: it is asked by who does not know yet what the change will be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.lineage import EntityKind, TruncationReason, Vertex
from app.errors import InvalidArgumentError

DEFAULT_IMPACT_DEPTH = 10
_SHOWN_COLUMNS = 5


class ImpactKind(StrEnum):
    """What the change is: of the schema, of rows, a rollback, the removal of the dataset, or not known yet."""

    ANY = "ANY"
    SCHEMA = "SCHEMA"
    DATA = "DATA"
    ROLLBACK = "ROLLBACK"
    DELETE = "DELETE"

    @classmethod
    def parse(cls, text: str) -> ImpactKind:
        """The kind of this name, in any case. Raises InvalidArgumentError."""
        if text.upper() not in cls.__members__:
            raise InvalidArgumentError("kind", f"{text[:40]!r} is not one of {', '.join(cls)}")
        return cls[text.upper()]


class Severity(StrEnum):
    """How much it matters, in rising order."""

    NONE = "NONE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """0 for NONE to 4 for CRITICAL; the texts themselves do not sort so."""
        return list(Severity).index(self)

    def lowered(self, steps: int) -> Severity:
        """So many steps less, but never less than LOW; NONE stays NONE."""
        return self if self is Severity.NONE else list(Severity)[max(1, self.rank - steps)]


class Standing(StrEnum):
    """What an affected thing is to people; the value is how a sentence calls it."""

    PRODUCTION_DATASET = "a production dataset"
    DATASET = "a dataset"
    GONE_DATASET = "a dataset that the catalog no longer has"
    PRODUCTION_MODEL = "a live model in production"
    MODEL = "a live model"
    ARCHIVED_MODEL = "an archived model"
    PIPELINE = "a pipeline"


_NONE, _LOW, _MEDIUM, _HIGH, _CRITICAL = Severity
# Severity of what is one hop away: of ANY, SCHEMA and DELETE, of ROLLBACK, of DATA.
_TABLE = {
    Standing.PRODUCTION_DATASET: (_CRITICAL, _CRITICAL, _HIGH),
    Standing.PRODUCTION_MODEL: (_CRITICAL, _CRITICAL, _HIGH),
    Standing.MODEL: (_HIGH, _HIGH, _MEDIUM),
    Standing.PIPELINE: (_HIGH, _MEDIUM, _LOW),
    Standing.DATASET: (_MEDIUM, _MEDIUM, _LOW),
    Standing.ARCHIVED_MODEL: (_LOW, _LOW, _LOW),
    Standing.GONE_DATASET: (_LOW, _LOW, _LOW),
}
_COLUMN_OF_KIND = {ImpactKind.ROLLBACK: 1, ImpactKind.DATA: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How a change gets to something first.

    `path` leads from what is changed to it and is one longer than `depth`, but for columns that one dataset makes of
    its own. `columns` are those of it that are affected (of a pipeline: those that it reads), empty where no columns
    were asked about. It is certain unless columns were asked about and somewhere on the way none are told.
    """

    vertex: Vertex
    depth: int
    path: tuple[Vertex, ...]
    columns: tuple[str, ...] = ()
    is_certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Impacted:
    """Something that a change affects; `path` leads from what is changed to it, along the least number of hops."""

    vertex: Vertex
    depth: int
    severity: Severity
    reason: str
    path: tuple[Vertex, ...]

    @property
    def order(self) -> tuple[int, int, str]:
        """Sort key, total: the worst first, then the nearest."""
        return (-self.severity.rank, self.depth, self.vertex.vertex_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What a change affects, each list with the worst first; `truncated` is empty where nothing was left out.

    Features are among the datasets.
    """

    kind: ImpactKind
    datasets: tuple[Impacted, ...] = ()
    models: tuple[Impacted, ...] = ()
    pipelines: tuple[Impacted, ...] = ()
    truncated: frozenset[TruncationReason] = frozenset()

    @property
    def everything(self) -> tuple[Impacted, ...]:
        """All of the lists."""
        return (*self.datasets, *self.models, *self.pipelines)

    @property
    def total_affected(self) -> int:
        """How many things are affected."""
        return len(self.datasets) + len(self.models) + len(self.pipelines)

    @property
    def severity(self) -> Severity:
        """The worst of all, NONE where nothing is affected."""
        return max((one.severity for one in self.everything), key=lambda severity: severity.rank, default=Severity.NONE)

    @property
    def is_complete(self) -> bool:
        """Whether this is all that is affected."""
        return not self.truncated


def severity_of(kind: ImpactKind, standing: Standing, *, depth: int, is_certain: bool) -> Severity:
    """How much it matters that something so many hops away, at least one, is affected."""
    near = _TABLE[standing][_COLUMN_OF_KIND.get(kind, 0)]
    by_distance = 0 if depth <= 1 else 1 if depth <= 3 else 2
    return near.lowered(by_distance + (not is_certain))


def assess(kind: ImpactKind, reach: Reach, standing: Standing) -> Impacted:
    """What was reached, with its weight and the reason in a sentence."""
    return Impacted(
        vertex=reach.vertex,
        depth=reach.depth,
        severity=severity_of(kind, standing, depth=reach.depth, is_certain=reach.is_certain),
        reason=_reason(reach, standing),
        path=reach.path,
    )


def sum_up(kind: ImpactKind, found: Iterable[Impacted], truncated: frozenset[TruncationReason]) -> Impact:
    """All that was found, by what it is."""
    in_order = sorted(found, key=lambda one: one.order)
    return Impact(
        kind=kind,
        datasets=_of(in_order, EntityKind.DATASET, EntityKind.FEATURE),
        models=_of(in_order, EntityKind.MODEL),
        pipelines=_of(in_order, EntityKind.PIPELINE),
        truncated=truncated,
    )


def label_of(vertex: Vertex) -> str:
    """A version or entity as people write it."""
    return f"{vertex.name} @ {vertex.version}" if vertex.version else vertex.name


def _of(found: Sequence[Impacted], *kinds: EntityKind) -> tuple[Impacted, ...]:
    return tuple(one for one in found if one.vertex.kind in kinds)


_VERBS = {EntityKind.MODEL: "was trained on", EntityKind.PIPELINE: "reads"}


def _reason(reach: Reach, standing: Standing) -> str:
    verb = _VERBS.get(reach.vertex.kind, "is made from")
    # A step within one dataset is told by the dataset that it began in.
    before = next((vertex for vertex in reversed(reach.path) if vertex != reach.vertex), reach.vertex)
    sentence = f"{label_of(reach.vertex)}, {standing.value}, {verb} {label_of(before)}"
    if reach.depth > 1:
        sentence += f", {reach.depth} hops from {label_of(reach.path[0])}"
    if not reach.is_certain:
        return f"{sentence}; it may be affected: on the way it is not reported which columns are used."
    if reach.columns:
        own = "it reads" if reach.vertex.kind is EntityKind.PIPELINE else "it reaches"
        return f"{sentence}; {own} {_listed(reach.columns)}."
    return f"{sentence}."


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:_SHOWN_COLUMNS])
    more = len(columns) - _SHOWN_COLUMNS
    return f"column{'s' if len(columns) > 1 else ''} {shown}" + (f" and {more} more" if more > 0 else "")
