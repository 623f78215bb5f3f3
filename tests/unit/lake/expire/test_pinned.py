"""What each holder alone keeps: sets of files, and no sums over snapshots."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.lake.expire.reachable import measure_expiry
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from tests.unit.lake.expire.histories import Step, append, create, make_history
from tests.unit.lake.expire.naive import du, local, reached
from tests.unit.lake.local_tables import as_lake_table


def test_tags_that_share_a_snapshot_pin_nothing_alone(catalog: CachingSqlCatalog):
    # Given an overwritten snapshot with two tags, and one with one
    table = create(catalog)
    first = append(table, 1)
    table.overwrite(table.scan().to_arrow())
    second = append(table, 2)
    table.overwrite(table.scan().to_arrow())
    head = table.refresh().metadata.current_snapshot_id
    assert head is not None

    # When asked what each keeps
    rest = [found.snapshot_id for found in table.metadata.snapshots if found.snapshot_id not in (first, second)]
    holders = {"a": [first, second], "b": [first], "rest": rest}
    plan = measure_expiry(as_lake_table(table), [], (), holders)

    # Then what both have is nobody's alone
    only_second = reached(table, without=[first, *rest]) - reached(table, without=[second])
    assert plan.pinned["a"] == du(only_second) > 0
    assert plan.pinned["b"] == 0


def test_what_no_holder_keeps_is_not_pinned_by_the_one_beside_it(catalog: CachingSqlCatalog):
    # Given a holder of the first snapshot, whose file the second one has too, which is kept by something unnamed
    table = create(catalog)
    first = append(table, 1)
    append(table, 2)

    plan = measure_expiry(as_lake_table(table), [], (), {"a": [first]})

    # Then it pins its manifest list alone
    snapshot = table.metadata.snapshot_by_id(first)
    assert snapshot is not None
    assert plan.pinned["a"] == du([local(snapshot.manifest_list)])


@given(
    steps=st.lists(st.sampled_from(Step), min_size=4, max_size=9),
    data=st.data(),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_pinned_is_what_would_be_freed_without_the_holder(steps: list[Step], data: st.DataObject):
    with TemporaryDirectory() as folder:
        # Given a table with any history, and holders of any of its snapshots
        catalog = CachingSqlCatalog(
            "local", MetadataCache(10**7), uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}/w"
        )
        catalog.create_tables()
        table = create(catalog)
        make_history(table, [Step.APPEND, *steps])
        held = {ref.snapshot_id for ref in table.metadata.refs.values()}
        ids = [found.snapshot_id for found in table.metadata.snapshots]
        going = {one for one in ids if one not in held and data.draw(st.booleans())}
        left = [one for one in ids if one not in going]
        holders = {name: data.draw(st.sets(st.sampled_from(left))) for name in "abc"}

        # When asked what each alone keeps
        plan = measure_expiry(as_lake_table(table), going, (), holders)

        # Then it is what goes away when all that it alone keeps goes as well
        for name, kept in holders.items():
            others = set().union(*(those for other, those in holders.items() if other != name))
            alone = kept - others
            expected = reached(table, without=going) - reached(table, without=going | alone)
            assert plan.pinned[name] == du(expected)
        catalog.close()
