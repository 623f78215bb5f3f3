"""Which engine compacts a table: the one that is here, or a Spark that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.compaction.obstacles import CompactionEngine
from app.domain.compaction.planning import CompactionPlan
from app.domain.names import DatasetName
from app.errors import InvalidSettingError, InvalidTablePropertyError, UnsupportedTableError

# The property of a table that chooses for it alone.
ENGINE = "stratigraph.compaction.engine"
_SETTING, _REMOTE = "STRATIGRAPH_COMPACTION_ENGINE", "STRATIGRAPH_SPARK_REMOTE"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRules:
    """What the settings say: an engine for all tables, or None for whichever suits each.

    Of tables that both can compact Spark gets those of which more than `spark_bytes` are to be rewritten; `has_spark`
    says whether there is one.
    """

    stated: CompactionEngine | None
    has_spark: bool
    spark_bytes: int


def choose_engine(
    name: DatasetName, properties: Mapping[str, str], plan: CompactionPlan, rules: EngineRules, *, is_whole: bool = True
) -> CompactionEngine:
    """The engine for a plan that has something to do. What is not the whole table is done here: Spark takes tables.

    Raises:
        UnsupportedTableError: no engine that may do it can.
        InvalidSettingError: it is to be Spark, and none is set.
        InvalidTablePropertyError: the table's property is no engine.
    """
    of_table = _stated(properties)
    stated = of_table or rules.stated
    if stated is CompactionEngine.SPARK and not rules.has_spark:
        who = f"{name} by its property {ENGINE}" if of_table else f"{_SETTING} for all tables"
        raise InvalidSettingError(_REMOTE, f"it is not set, and {who} asks for compaction by Spark")
    if not is_whole or not rules.has_spark:
        return _checked(name, plan, CompactionEngine.LOCAL, stated, rules)
    if stated is not None:
        return _checked(name, plan, stated, stated, rules)
    suits = CompactionEngine.LOCAL
    if plan.obstacle(CompactionEngine.LOCAL) is not None or plan.bytes_to_rewrite > rules.spark_bytes:
        suits = CompactionEngine.SPARK
    if suits is CompactionEngine.SPARK and plan.obstacle(suits) is not None:
        suits = CompactionEngine.LOCAL
    return _checked(name, plan, suits, None, rules)


def _stated(properties: Mapping[str, str]) -> CompactionEngine | None:
    text = properties.get(ENGINE)
    if text is None:
        return None
    try:
        return CompactionEngine(text.strip().lower())
    except ValueError as error:
        known = ", ".join(engine.value for engine in CompactionEngine)
        raise InvalidTablePropertyError(ENGINE, text, f"one of {known} is needed") from error


def _checked(
    name: DatasetName,
    plan: CompactionPlan,
    engine: CompactionEngine,
    stated: CompactionEngine | None,
    rules: EngineRules,
) -> CompactionEngine:
    """The engine, where nothing keeps it from carrying out the plan."""
    obstacle = plan.obstacle(engine)
    if obstacle is None:
        return engine
    reason = obstacle.reason
    if engine is CompactionEngine.LOCAL and plan.obstacle(CompactionEngine.SPARK) is None:
        reason += _help(stated, rules)
    raise UnsupportedTableError(str(name), obstacle.feature, reason)


def _help(stated: CompactionEngine | None, rules: EngineRules) -> str:
    if not rules.has_spark:
        return f"; Spark can compact it, where {_REMOTE} names one"
    if stated is CompactionEngine.LOCAL:
        return f"; Spark can compact it, which {_SETTING} or the table's property {ENGINE} keeps from it"
    return "; Spark can compact it, but only as a whole"
