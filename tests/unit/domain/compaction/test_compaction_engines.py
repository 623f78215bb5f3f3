"""Which engine compacts a table."""

from __future__ import annotations

import pytest

from app.domain.compaction.engines import ENGINE, EngineRules, choose_engine
from app.domain.compaction.explaining import explain_plan
from app.domain.compaction.obstacles import CompactionEngine, Obstacle
from app.domain.compaction.planning import CompactionPlan, plan_compaction
from app.domain.compaction.policy import MIB, CompactionPolicy
from app.domain.names import DatasetName
from app.errors import InvalidSettingError, InvalidTablePropertyError, UnsupportedTableError
from app.settings import load_settings
from tests.unit.domain.compaction.made_files import files

NAME = DatasetName(namespace="bronze", name="events")
LOCAL, SPARK = CompactionEngine.LOCAL, CompactionEngine.SPARK
LINEAGE = Obstacle(feature="format version 3", reason="only Spark keeps its lineage")
TIMES = Obstacle(feature="a column of type time", reason="Spark has no such type")
ONLY_SPARK, ONLY_LOCAL, NOBODY = {LOCAL: LINEAGE}, {SPARK: TIMES}, {LOCAL: LINEAGE, SPARK: TIMES}
NO_SPARK = EngineRules(stated=None, has_spark=False, spark_bytes=0)


def plan(obstacles: dict[CompactionEngine, Obstacle] | None = None) -> CompactionPlan:
    """A plan that rewrites 20 MB."""
    return plan_compaction(files(20, 1), CompactionPolicy(), obstacles)


def rules(stated: CompactionEngine | None = None, *, spark_bytes: int = 100 * MIB) -> EngineRules:
    return EngineRules(stated=stated, has_spark=True, spark_bytes=spark_bytes)


@pytest.mark.parametrize(
    ("obstacles", "of_table", "asked", "engine"),
    [
        pytest.param({}, None, NO_SPARK, LOCAL, id="without Spark"),
        pytest.param({}, None, rules(), LOCAL, id="small"),
        pytest.param({}, None, rules(spark_bytes=20 * MIB), LOCAL, id="as large as the limit"),
        pytest.param({}, None, rules(spark_bytes=20 * MIB - 1), SPARK, id="larger than the limit"),
        pytest.param(ONLY_SPARK, None, rules(), SPARK, id="what only Spark can"),
        pytest.param(ONLY_LOCAL, None, rules(spark_bytes=0), LOCAL, id="large, and Spark cannot"),
        pytest.param({}, None, rules(SPARK), SPARK, id="Spark for all"),
        pytest.param({}, None, rules(LOCAL, spark_bytes=0), LOCAL, id="none in Spark"),
        pytest.param({}, " Spark ", rules(LOCAL), SPARK, id="Spark for this table"),
        pytest.param({}, "local", rules(SPARK, spark_bytes=0), LOCAL, id="this table not in Spark"),
        pytest.param({}, "local", NO_SPARK, LOCAL, id="this table not in Spark, and there is none"),
    ],
)
def test_the_engine_is_chosen(
    obstacles: dict[CompactionEngine, Obstacle], of_table: str | None, asked: EngineRules, engine: CompactionEngine
) -> None:
    properties = {} if of_table is None else {ENGINE: of_table}
    assert choose_engine(NAME, properties, plan(obstacles), asked) is engine


@pytest.mark.parametrize(
    ("obstacles", "of_table", "asked", "told"),
    [
        pytest.param(
            ONLY_SPARK, None, NO_SPARK, "lineage; Spark .*where STRATIGRAPH_SPARK_REMOTE names", id="no Spark"
        ),
        pytest.param(ONLY_SPARK, None, rules(LOCAL), "COMPACTION_ENGINE or the table's property", id="kept from Spark"),
        pytest.param(ONLY_SPARK, "local", rules(), "COMPACTION_ENGINE or the table's property", id="by its property"),
        pytest.param(ONLY_LOCAL, None, rules(SPARK), "column of type time: Spark has no such type", id="not by Spark"),
        pytest.param(NOBODY, None, rules(), r"version 3: only Spark keeps its lineage\.$", id="by nobody"),
        pytest.param(NOBODY, None, NO_SPARK, r"version 3: only Spark keeps its lineage\.$", id="nor without Spark"),
    ],
)
def test_what_no_engine_may_do_is_refused_with_what_would_help(
    obstacles: dict[CompactionEngine, Obstacle], of_table: str | None, asked: EngineRules, told: str
) -> None:
    properties = {} if of_table is None else {ENGINE: of_table}
    with pytest.raises(UnsupportedTableError, match=told):
        choose_engine(NAME, properties, plan(obstacles), asked)


def test_parts_of_a_table_are_done_here() -> None:
    assert choose_engine(NAME, {}, plan(), rules(spark_bytes=0), is_whole=False) is LOCAL
    with pytest.raises(UnsupportedTableError, match="only as a whole"):
        choose_engine(NAME, {}, plan(ONLY_SPARK), rules(), is_whole=False)


@pytest.mark.parametrize("of_table", [None, "spark"])
def test_a_spark_that_is_not_set_is_missed_by_name(of_table: str | None) -> None:
    asked = EngineRules(stated=None if of_table else SPARK, has_spark=False, spark_bytes=0)
    properties = {} if of_table is None else {ENGINE: of_table}
    with pytest.raises(InvalidSettingError, match="STRATIGRAPH_SPARK_REMOTE") as missed:
        choose_engine(NAME, properties, plan(), asked)
    assert (ENGINE in str(missed.value)) == (of_table is not None)


def test_a_spark_that_is_not_set_is_missed_when_settings_are_read() -> None:
    with pytest.raises(
        InvalidSettingError, match=r"STRATIGRAPH_COMPACTION_ENGINE: .*STRATIGRAPH_SPARK_REMOTE is not set"
    ):
        load_settings({"STRATIGRAPH_COMPACTION_ENGINE": "spark"})
    found = load_settings({"STRATIGRAPH_COMPACTION_ENGINE": "spark", "STRATIGRAPH_SPARK_REMOTE": "sc://host"})
    assert found.compaction_engine == "spark"
    with pytest.raises(InvalidSettingError, match="STRATIGRAPH_COMPACTION_ENGINE"):
        load_settings({"STRATIGRAPH_COMPACTION_ENGINE": "trino"})


def test_a_property_that_is_no_engine_is_refused() -> None:
    with pytest.raises(
        InvalidTablePropertyError, match=r"stratigraph\.compaction\.engine is 'trino': one of local, spark"
    ):
        choose_engine(NAME, {ENGINE: "trino"}, plan(), rules())


def test_what_keeps_engines_from_a_table_is_explained() -> None:
    text = "\n".join(explain_plan(plan(ONLY_SPARK), files(20, 1)))
    assert "It cannot be compacted here: format version 3: only Spark keeps its lineage." in text
    fine = plan_compaction(files(1, 500), CompactionPolicy(), ONLY_SPARK)
    assert "cannot be compacted" not in "\n".join(explain_plan(fine, files(1, 500)))
