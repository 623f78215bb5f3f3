"""The two models of the sample, really trained on snapshots of its lake with scikit-learn."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.catalog import Catalog

from app.lake.sample.tags import find_step_snapshot_id, find_table

if TYPE_CHECKING:
    import numpy as np

SEED = 20260215
HOLD_OUT = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleModel:
    """One version of a model: which step of which table it was trained on, and with what."""

    model: str
    number: int
    description: str
    dataset: str
    step: str
    parameters: dict[str, Any]
    columns: tuple[str, ...]
    read: Callable[[pa.Table], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """What training made: metrics on a quarter of the rows that was held out, and the model as joblib wrote it."""

    snapshot_id: int
    framework: str
    metrics: dict[str, float]
    artifact: bytes


def has_scikit_learn() -> bool:
    """Whether the optional extra is installed."""
    return find_spec("sklearn") is not None


def _customers(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    segments = sorted({str(value) for value in rows.column("segment").to_pylist()})
    segment = np.array([segments.index(str(value)) for value in rows.column("segment").to_pylist()], dtype=float)
    orders = rows.column("order_count").to_numpy().astype(float)
    return np.column_stack([orders, segment]), rows.column("lifetime_revenue").cast(pa.float64()).to_numpy()


def _days(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    days = rows.column("order_date").to_pylist()
    features = [[day.timetuple().tm_yday, day.weekday(), day.year] for day in days]
    return np.array(features, dtype=float), rows.column("revenue").cast(pa.float64()).to_numpy()


def sample_models() -> tuple[SampleModel, ...]:
    """All versions, in the order of their numbers."""
    value = "How much a customer will have brought in, by orders and segment"
    forecast = "What a day brings in, by season and weekday"
    customers = ("customer_id", "segment", "order_count", "lifetime_revenue")
    days = ("order_date", "revenue")
    return (
        *(
            SampleModel(
                model="customer_value",
                number=number,
                description=value,
                dataset="gold.customers",
                step=step,
                parameters={"max_depth": depth, "max_iter": 50, "random_state": SEED},
                columns=customers,
                read=_customers,
            )
            for number, (step, depth) in enumerate([("refresh-2", 2), ("refresh-3", 3), ("refresh-4", 3)], 1)
        ),
        *(
            SampleModel(
                model="revenue_forecast",
                number=number,
                description=forecast,
                dataset="gold.daily_revenue",
                step=step,
                parameters={"max_depth": 4, "max_iter": iterations, "random_state": SEED},
                columns=days,
                read=_days,
            )
            for number, (step, iterations) in enumerate([("year-1996", 40), ("year-1997", 40), ("year-1998", 80)], 1)
        ),
    )


def train(catalog: Catalog, plan: SampleModel) -> TrainedModel | None:
    """Train a version on the snapshot that its step left; None where that is not there. Blocks, about a second."""
    import joblib
    import sklearn
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
    from sklearn.model_selection import train_test_split

    table = find_table(catalog, plan.dataset)
    snapshot_id = find_step_snapshot_id(table, plan.step) if table is not None else None
    if table is None or snapshot_id is None:
        return None
    # Names of columns may be older in the snapshot than they are now: ids are what is the same.
    names = {field.field_id: field.name for field in table.scan(snapshot_id=snapshot_id).projection().fields}
    told = [names[table.schema().find_field(column).field_id] for column in plan.columns]
    rows = table.scan(snapshot_id=snapshot_id, selected_fields=tuple(told)).to_arrow()
    rows = rows.select(told).rename_columns(list(plan.columns)).sort_by(plan.columns[0])
    features, target = plan.read(rows)
    fit_x, test_x, fit_y, test_y = train_test_split(features, target, test_size=HOLD_OUT, random_state=SEED)
    model = HistGradientBoostingRegressor(**plan.parameters).fit(fit_x, fit_y)
    predicted = model.predict(test_x)
    artifact = io.BytesIO()
    joblib.dump(model, artifact)
    return TrainedModel(
        snapshot_id=snapshot_id,
        framework=f"scikit-learn {sklearn.__version__}",
        metrics={
            "r2": round(float(r2_score(test_y, predicted)), 4),
            "rmse": round(float(root_mean_squared_error(test_y, predicted)), 2),
            "mae": round(float(mean_absolute_error(test_y, predicted)), 2),
        },
        artifact=artifact.getvalue(),
    )
