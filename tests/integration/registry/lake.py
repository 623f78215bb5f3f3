"""What the tests of the registry speak of."""

from __future__ import annotations

from app.bootstrap import Services
from app.domain.changes import Actor, Command
from app.domain.models import Metric, NewModelVersion
from app.domain.names import DatasetName
from app.domain.roles import InputRole
from app.domain.versions import VersionSelector
from app.services.model_registration import TrainingInput

SALES, CUSTOMERS = "silver.sales", "gold.customers"
ADA = Actor(subject="ada")


def by_ada(reason: str | None = "as agreed", key: str | None = None) -> Command:
    """Ada's command."""
    return Command(actor=ADA, reason=reason, idempotency_key=key)


def churn(**changes: object) -> NewModelVersion:
    """A version of a model."""
    return NewModelVersion(
        **{
            "model": "churn",
            "framework": "scikit-learn",
            "parameters": {"depth": 3},
            "metrics": (Metric(name="auc", value=0.85), Metric(name="rmse", value=1.5)),
            **changes,
        }
    )


def trained_on(dataset: str, snapshot_id: int, role: InputRole = InputRole.TRAINING) -> TrainingInput:
    """A snapshot of a dataset, in a role."""
    return TrainingInput(dataset=DatasetName.parse(dataset), at=VersionSelector(snapshot_id=snapshot_id), role=role)


async def refs_of(services: Services, dataset: str) -> dict[str, int]:
    """The table's tags, and where they are."""
    table = await services.datasets.load(DatasetName.parse(dataset))
    return {ref.name: ref.snapshot_id for ref in table.state.history.tags}


async def drain(services: Services) -> None:
    """Bring the graph up to the log."""
    while await services.projector.project_pending():
        continue
