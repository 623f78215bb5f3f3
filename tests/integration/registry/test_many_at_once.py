"""Asking for many things at once answers what asking for each does; and what is wrong tells its place."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.bootstrap import Services
from app.domain.changes import ModelSubject, PipelineSubject
from app.domain.names import DatasetName
from app.domain.numbered import NumberSelector
from app.domain.pages import PageRequest
from app.domain.pipelines import PipelineRun
from app.errors import AppError, IdempotencyKeyReusedError, InvalidPageError, TagNotFoundError
from app.services.model_registration import TrainingInput
from app.services.pipelines import NewPipelineVersion
from app.services.runs import UsedVersion
from app.services.version_tagging import AskedVersion
from tests.integration.registry.lake import SALES, by_ada, churn, trained_on
from tests.integration.registry.test_pipelines import report, used
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

MODELS = ("alpha", "churn", "nothing", "a\x00b")
PAGES = [
    PageRequest(),
    PageRequest(first=1),
    PageRequest(first=2),
    PageRequest(last=2),
    PageRequest(last=1),
]


@pytest.fixture
async def three(services: Services, sales: Orders) -> None:
    """Three versions of two models and of two pipelines, each with two tags."""
    for name in ("alpha", "churn"):
        model, pipeline = ModelSubject(name=name), PipelineSubject(pipeline_id=name)
        for number in (1, 2, 3):
            await services.registration.register(churn(model=name), [trained_on(SALES, sales.second)], by_ada())
            new = NewPipelineVersion(pipeline_id=name, dag={"tasks": []}, git_commit=str(number))
            await services.pipelines.register(new, by_ada())
        for subject in (model, pipeline):
            await services.version_tagging.create(subject, "a1", 3, by_ada())
            await services.version_tagging.create(subject, "b1", 1, by_ada())


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("request_", PAGES, ids=str)
async def test_pages_of_many_are_the_pages_of_each(services: Services, request_: PageRequest) -> None:
    models = await services.models.pages_of_versions(MODELS, request_)
    pipelines = await services.pipelines.pages_of_versions(MODELS, request_)
    subjects = [ModelSubject(name=name) for name in MODELS]
    tags = await services.version_tags.pages([*subjects, PipelineSubject(pipeline_id="churn")], request_)

    for name in MODELS:
        assert models[name] == await services.models.page_versions(name, request_)
        assert pipelines[name] == await services.pipelines.page_versions(name, request_)
        assert tags[ModelSubject(name=name)] == await services.version_tags.page(ModelSubject(name=name), request_)
        is_there = name in ("alpha", "churn")
        assert (models[name].total, pipelines[name].total) == ((3, 3) if is_there else (0, 0))
        assert len(models[name].items) == (min(3, request_.size) if is_there else 0)
    assert [tag.subject for tag in tags[PipelineSubject(pipeline_id="churn")].items][:1] == [
        PipelineSubject(pipeline_id="churn")
    ]


@pytest.mark.usefixtures("three")
async def test_cursors_of_one_list_go_through_each(services: Services) -> None:
    seen: dict[str, list[int]] = {"alpha": [], "churn": []}
    request = PageRequest(first=2)
    while True:
        pages = await services.models.pages_of_versions(list(seen), request)
        for name, page in pages.items():
            seen[name] += [version.number for version in page.items]
            assert page.has_previous is (request.after is not None)
        if not pages["churn"].has_next:
            break
        request = PageRequest(first=2, after=pages["churn"].cursors[-1])
    assert seen == {"alpha": [3, 2, 1], "churn": [3, 2, 1]}
    before = PageRequest(last=1, before=pages["churn"].cursors[0])
    assert [version.number for version in (await services.models.page_versions("alpha", before)).items] == [2]
    with pytest.raises(InvalidPageError):
        await services.models.pages_of_versions(["alpha"], PageRequest(after="nonsense"))


@pytest.mark.usefixtures("three")
async def test_what_is_found_for_many_is_what_is_found_for_each(services: Services, sales: Orders) -> None:
    assert (await services.models.find(MODELS)).keys() == {"alpha", "churn"}
    latest = await services.models.find_latest(MODELS)
    assert {name: version.number for name, version in latest.items()} == {"alpha": 3, "churn": 3}
    assert {name: v.number for name, v in (await services.pipelines.find_latest(MODELS)).items()} == {
        "alpha": 3,
        "churn": 3,
    }
    histories = await services.models.histories(MODELS)
    assert histories["churn"].tags == {"a1": 3, "b1": 1} and sorted(histories["churn"].created_at) == [1, 2, 3]
    assert histories["nothing"].latest is None
    table = (await services.datasets.load(DatasetName.parse(SALES))).state.table_uuid
    trained = await services.models.trained_on([(table, sales.second), (table, sales.third)])
    assert [(v.model, v.number) for v in trained[table, sales.second]] == [
        (model, number) for model in ("alpha", "churn") for number in (1, 2, 3)
    ]
    assert trained[table, sales.third] == []


async def test_a_prefix_that_no_name_can_have_finds_nothing(services: Services) -> None:
    await services.registration.register(churn(), [], by_ada())
    assert (await services.models.page(PageRequest(), name_prefix="\x00")).total == 0
    assert (await services.pipelines.page(PageRequest(), id_prefix="\ud800")).total == 0
    assert (await services.models.page(PageRequest(), name_prefix="")).total == 1


async def test_runs_of_many_are_the_runs_of_each(services: Services, sales: Orders) -> None:
    runs: dict[str, list[PipelineRun]] = {"a": [], "b": []}
    for number in range(6):
        run = report(
            run_id=UUID(int=number + 1),
            pipeline_id="ab"[number % 2],
            inputs=[used(SALES, sales.ids[number % 3])],
        )
        runs["ab"[number % 2]].insert(0, await services.runs.record(run, by_ada()))
    for request in (PageRequest(), PageRequest(first=2)):
        pages = await services.runs.pages_of_pipelines(["a", "b", "nothing"], request)
        assert {name: list(page.items) for name, page in pages.items()} == {
            **{name: found[: request.size] for name, found in runs.items()},
            "nothing": [],
        }
        assert [page.total for page in pages.values()] == [3, 3, 0]
        for name, page in pages.items():
            assert page == await services.runs.page_of_pipeline(name, request)
    table = await services.datasets.load(DatasetName.parse(SALES))
    roots = [services.lineage.snapshot_root(table, snapshot) for snapshot in sales.ids]
    consumers = await services.runs.pages_of_consumers(roots, PageRequest(first=1))
    for root, snapshot in zip(roots, sales.ids, strict=True):
        page = await services.runs.page_of_consumers(table, snapshot, PageRequest(first=1))
        assert consumers[root.vertex_id] == page and (page.total, page.has_next) == (2, True)


async def test_an_error_of_one_item_says_of_which(services: Services, sales: Orders) -> None:
    good, bad = trained_on(SALES, sales.second), trained_on(SALES, 77)
    with pytest.raises(AppError) as caught:
        await services.registration.register(churn(), [good, bad], by_ada())
    assert caught.value.place == ("trainingData", "1")
    name = DatasetName.parse(SALES)
    for changes, place in (
        ({"inputs": [UsedVersion(dataset=name, at="nope")]}, ("inputs", "0")),
        ({"outputs": [UsedVersion(dataset=name, at=None), UsedVersion(dataset=name, at="77")]}, ("outputs", "1")),
    ):
        with pytest.raises(AppError) as caught:
            await services.runs.record(report(**changes), by_ada())
        assert caught.value.place == place
    for source_at, target_at, place in (("nope", None, ("source",)), (None, "nope", ("target",))):
        with pytest.raises(AppError) as caught:
            await services.promoting.record(name, source_at, name, target_at, by_ada())
        assert caught.value.place == place
    with pytest.raises(AppError) as caught:
        await services.registration.register(churn(), [TrainingInput(dataset=name, at="main")] * 2, by_ada())
    assert caught.value.place == ()


@pytest.mark.usefixtures("three")
async def test_what_was_asked_for_identifies_a_request_and_not_what_it_was_then(services: Services) -> None:
    subject, tagging = ModelSubject(name="churn"), services.version_tagging

    def asked(text: str) -> AskedVersion:
        return AskedVersion(text=text, find=lambda: services.models.resolve("churn", NumberSelector(ref=text)))

    first = await tagging.create(subject, "candidate", asked("latest"), by_ada(key="k1"))
    moved = await tagging.move(subject, "candidate", asked("b1"), by_ada(key="k2"))
    # when another version is the latest, and what named the other one is gone
    await services.registration.register(churn(), [], by_ada())
    await tagging.delete(subject, "b1", by_ada())

    assert (first.tag.number, moved.tag.number) == (3, 1)
    assert (await tagging.create(subject, "candidate", asked("latest"), by_ada(key="k1"))).tag.number == 3
    assert (await tagging.move(subject, "candidate", asked("b1"), by_ada(key="k2"))).tag.number == 1
    with pytest.raises(IdempotencyKeyReusedError):
        await tagging.create(subject, "candidate", asked("a1"), by_ada(key="k1"))
    with pytest.raises(TagNotFoundError):
        await tagging.move(
            subject,
            "candidate",
            AskedVersion(text="b1", find=lambda: services.models.resolve("churn", NumberSelector(tag="b1"))),
            by_ada(key="k3"),
        )
