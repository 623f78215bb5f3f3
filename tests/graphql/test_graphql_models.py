"""Models: registering, looking at them, archiving, and what a hostile client may send."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from app.errors import BackendUnavailableError
from tests.graphql.api import Api
from tests.graphql.registry import (
    ARCHIVE_MODEL,
    MODEL_VERSION,
    ORDERS,
    REGISTER_MODEL,
    RUN,
    a_model,
    record_run,
    register_model,
)
from tests.integration.registry.lake import by_ada, churn, trained_on
from tests.lake_tables import ORDERS as ORDERS_NAME
from tests.lake_tables import TAG, Orders

pytestmark = pytest.mark.anyio

PINNED = "model_training_churn_v1"


async def test_a_version_is_registered_with_all_that_is_told(api: Api, orders: Orders, catalog: Catalog) -> None:
    wanted = a_model(
        orders.second,
        description="Who leaves?",
        framework="scikit-learn",
        artifactUri="s3://models/churn",
        parameters={"depth": 3, "seed": 2**60, "deep": {"list": [1, None, 2**53]}},
        metrics=[{"name": "auc", "value": 0.85}, {"name": "rmse", "value": 1.5, "higherIsBetter": False}],
        runId=str(RUN),
        reason="as agreed",
    )
    wanted["trainingData"].append({"dataset": ORDERS, "at": {"ref": TAG}, "role": "TEST"})

    payload = (await api.data(REGISTER_MODEL, input=wanted))["registerModelVersion"]

    version = payload["modelVersion"]
    assert (payload["userErrors"], payload["warnings"], payload["unchanged"]) == ([], [], False)
    assert (version["number"], version["label"], version["createdBy"]) == (1, "v1", {"subject": "ada"})
    assert (version["reason"], version["framework"], version["artifactUri"]) == (
        "as agreed",
        "scikit-learn",
        "s3://models/churn",
    )
    assert version["parameters"] == {"depth": 3, "seed": str(2**60), "deep": {"list": [1, None, str(2**53)]}}
    assert version["metrics"] == [
        {"name": "auc", "value": 0.85, "higherIsBetter": None},
        {"name": "rmse", "value": 1.5, "higherIsBetter": False},
    ]
    assert version["trainingData"] == [
        {
            "name": ORDERS_NAME,
            "versionLabel": str(snapshot),
            "role": role,
            "isInferred": False,
            "dataset": ORDERS,
            "version": {"snapshotId": str(snapshot)},
        }
        for snapshot, role in ((orders.second, "TRAINING"), (orders.first, "TEST"))
    ]
    assert (version["availability"], version["archivedAt"], version["isReproducible"]) == ("AVAILABLE", None, True)
    assert (version["runId"], version["producedBy"]) == (str(RUN), None)
    assert version["model"]["name"] == "churn" and version["model"]["description"] == "Who leaves?"
    assert catalog.load_table(ORDERS_NAME).refs()[PINNED].snapshot_id == orders.second
    # and the run that made it may be told later
    await record_run(api, pipelineId="train")
    found = await api.data(f'{{ model(name: "churn") {{ version(at: {{ref: "1"}}) {{ {MODEL_VERSION} }} }} }}')
    assert found["model"]["version"] == {**version, "producedBy": {"runId": str(RUN)}}


async def test_the_payload_sees_the_pin(api: Api, orders: Orders) -> None:
    mutation = """mutation($input: RegisterModelVersionInput!) { registerModelVersion(input: $input) {
        modelVersion { trainingData { version {
            tags { name protected } trainedModels { label model { name } } } } } } }"""
    data = await api.data(mutation, input=a_model(orders.second))
    (use,) = data["registerModelVersion"]["modelVersion"]["trainingData"]
    assert use["version"] == {
        "tags": [{"name": PINNED, "protected": True}],
        "trainedModels": [{"label": "v1", "model": {"name": "churn"}}],
    }


async def test_models_and_their_versions_are_listed_and_named(api: Api, orders: Orders) -> None:
    for model in ("alpha", "churn", "churn", "churn", "zeta"):
        await register_model(api, orders.second, model=model)
    query = """{ models(first: 2, namePrefix: "") { totalCount nodes { name } pageInfo { hasNextPage endCursor } }
        last: models(last: 1) { nodes { name latest { number } } }
        some: models(namePrefix: "ch") { totalCount nodes { name versions(first: 2) {
            totalCount nodes { number } pageInfo { hasNextPage hasPreviousPage } }
            oldest: versions(last: 1) { nodes { number } pageInfo { hasPreviousPage } } } }
        none: models(namePrefix: "\\u0000") { totalCount } }"""
    data = await api.data(query)
    assert data["models"]["totalCount"] == 3
    assert [node["name"] for node in data["models"]["nodes"]] == ["alpha", "churn"]
    assert data["last"]["nodes"] == [{"name": "zeta", "latest": {"number": 1}}]
    (churn,) = data["some"]["nodes"]
    assert churn["versions"] == {
        "totalCount": 3,
        "nodes": [{"number": 3}, {"number": 2}],
        "pageInfo": {"hasNextPage": True, "hasPreviousPage": False},
    }
    assert churn["oldest"] == {"nodes": [{"number": 1}], "pageInfo": {"hasPreviousPage": True}}
    assert data["none"]["totalCount"] == 0
    ids = await api.data('{ model(name: "churn") { latest { id } } }')
    named = await api.data(
        """query($id: ID!) { model(name: "churn") {
            id: version(at: {id: $id}) { number } number: version(at: {number: 2}) { number }
            text: version(at: {ref: "latest~2"}) { number }
            instant: version(at: {asOf: "2999-01-01T00:00:00Z"}) { number }
        } }""",
        id=ids["model"]["latest"]["id"],
    )
    assert named["model"] == {
        "id": {"number": 3},
        "number": {"number": 2},
        "text": {"number": 1},
        "instant": {"number": 3},
    }


@pytest.mark.parametrize(
    ("case", "at", "code"),
    [
        ("nothing", {}, "AMBIGUOUS_REFERENCE"),
        ("two", {"number": 1, "ref": "1"}, "AMBIGUOUS_REFERENCE"),
        ("a snapshot", {"snapshotId": "7"}, "INVALID_ARGUMENT"),
        ("a branch", {"branch": "main"}, "INVALID_ARGUMENT"),
        ("no number", {"number": 0}, "INVALID_REFERENCE"),
        ("below", {"number": -(2**31)}, "INVALID_REFERENCE"),
        ("none yet", {"number": 2**31 - 1}, "VERSION_NOT_FOUND"),
        ("no such tag", {"tag": "nope"}, "TAG_NOT_FOUND"),
        ("before all", {"asOf": "2001-01-01T00:00:00Z"}, "VERSION_NOT_FOUND"),
        ("no text", {"ref": "9" * 5000}, "INVALID_REFERENCE"),
        ("no id", {"id": "x"}, "INVALID_ARGUMENT"),
        ("the id of a model", {"id": "MODEL"}, "INVALID_ARGUMENT"),
        ("the id of another model's version", {"id": "OTHER"}, "VERSION_NOT_FOUND"),
    ],
)
async def test_bad_selectors_are_typed(api: Api, orders: Orders, case: str, at: dict[str, Any], code: str) -> None:
    version = await register_model(api, orders.second)
    other = await register_model(api, orders.second, model="other")
    real = {"MODEL": version["model"]["id"], "OTHER": other["id"]}
    at = {key: real.get(value, value) if key == "id" else value for key, value in at.items()}

    answer = await api.run(
        'query($at: VersionSelector!) { model(name: "churn") { name version(at: $at) { number } } }', at=at
    )

    assert answer.codes == [code]
    assert answer.data == {"model": {"name": "churn", "version": None}}
    # and where a mutation asks for it, the field at fault is told
    error = await api.refused(
        "mutation($input: CreateTagInput!) { createTag(input: $input) { userErrors { path errorCode } } }",
        input={"on": {"model": "churn"}, "at": at, "name": "candidate"},
    )
    assert error["errorCode"] == code
    assert error["path"] == ["input", "at", *(at if len(at) == 1 else ())]


async def test_an_unknown_model_is_told_with_the_closest(api: Api, orders: Orders) -> None:
    await register_model(api, orders.second)
    answer = await api.run('{ model(name: "chrun") { id } pipeline(pipelineId: "nope") { id } }')
    assert answer.data == {"model": None, "pipeline": None}
    by_path = {error["path"][0]: error["extensions"] for error in answer.errors}
    assert by_path["model"]["code"] == "MODEL_NOT_FOUND"
    assert by_path["model"]["fields"]["suggestions"] == ["churn"]
    assert by_path["pipeline"]["code"] == "PIPELINE_NOT_FOUND"
    for name in ("", "a\x00b", "x" * 100_000):
        assert (await api.run("query($name: String!) { model(name: $name) { id } }", name=name)).codes == [
            "MODEL_NOT_FOUND"
        ]


async def test_archiving_releases_the_data_and_keeps_the_record(api: Api, orders: Orders, catalog: Catalog) -> None:
    version = await register_model(api, orders.second)
    wanted = {"model": "churn", "number": 1, "reason": "no longer served"}

    payload = (await api.data(ARCHIVE_MODEL, input=wanted))["archiveModelVersion"]

    assert (payload["userErrors"], payload["unchanged"]) == ([], False)
    archived = payload["modelVersion"]
    assert archived["availability"] == "EXPIRED" and archived["archivedAt"]
    assert archived["trainingData"] == version["trainingData"]
    assert PINNED not in catalog.load_table(ORDERS_NAME).refs()
    again = (await api.data(ARCHIVE_MODEL, input=wanted))["archiveModelVersion"]
    assert again["unchanged"] is True and again["modelVersion"] == archived
    changes = await api.data(
        "{ changes(first: 5) { nodes { kind reason subject { __typename ... on Model { name } } } } }"
    )
    assert changes["changes"]["nodes"][1] == {
        "kind": "MODEL_ARCHIVED",
        "reason": "no longer served",
        "subject": {"__typename": "Model", "name": "churn"},
    }
    for wrong, path, code in (
        ({"model": "churn", "number": 7}, ["input", "number"], "VERSION_NOT_FOUND"),
        ({"model": "churn", "number": -7}, ["input", "number"], "INVALID_REFERENCE"),
        ({"model": "nope", "number": 1}, ["input", "model"], "MODEL_NOT_FOUND"),
        ({"model": "a/b", "number": 1}, ["input", "model"], "INVALID_NAME"),
        ({"model": "churn", "number": 1, "reason": " "}, ["input", "reason"], "INVALID_ARGUMENT"),
    ):
        error = await api.refused(ARCHIVE_MODEL, input=wrong)
        assert (error["path"], error["errorCode"]) == (path, code)


async def test_archiving_moves_the_artifact_where_that_is_allowed(api: Api, orders: Orders) -> None:
    home = api.services.settings.home / "artifacts"
    for number in (1, 2):
        (home / "hot" / str(number)).mkdir(parents=True)
        (home / "hot" / str(number) / "model.bin").write_bytes(b"weights")
    await register_model(api, orders.second, artifactUri=str(home / "hot" / "1"))
    await register_model(api, orders.second)
    await register_model(api, orders.second, artifactUri=str(home / "hot" / "none"))
    cold = str(home / "cold")
    for number, uri, code in (
        (1, "/etc", "ARTIFACT_FORBIDDEN"),
        (1, "ftp:", "INVALID_ARGUMENT"),
        (1, "", "INVALID_ARGUMENT"),
        (1, str(home / "hot" / "1" / "x"), "INVALID_ARGUMENT"),
        (2, cold, "INVALID_ARGUMENT"),
        (3, cold, "ARTIFACT_NOT_FOUND"),
    ):
        error = await api.refused(ARCHIVE_MODEL, input={"model": "churn", "number": number, "coldStorageUri": uri})
        assert (error["path"], error["errorCode"]) == (["input", "coldStorageUri"], code), uri

    payload = await api.data(ARCHIVE_MODEL, input={"model": "churn", "number": 1, "coldStorageUri": cold})

    version = payload["archiveModelVersion"]["modelVersion"]
    assert version["artifactUri"] == str(home / "cold" / "churn" / "v1" / "1")
    assert (home / "cold" / "churn" / "v1" / "1" / "model.bin").read_bytes() == b"weights"
    assert not (home / "hot" / "1").exists() and (home / "hot" / "2").exists()


@pytest.mark.parametrize(
    ("case", "changes", "path", "code"),
    [
        ("no name", {"model": ""}, ["input", "model"], "INVALID_NAME"),
        ("a name with a slash", {"model": "a/b"}, ["input", "model"], "INVALID_NAME"),
        ("a surrogate in the name", {"model": "\ud800"}, ["input", "model"], "INVALID_NAME"),
        ("a run id that is none", {"runId": "run 1"}, ["input", "runId"], "INVALID_ARGUMENT"),
        ("a run id of braces", {"runId": "{" + str(RUN) + "}"}, ["input", "runId"], "INVALID_ARGUMENT"),
        ("parameters that are a list", {"parameters": [1]}, ["input", "parameters"], "INVALID_ARGUMENT"),
        ("parameters that are a text", {"parameters": "depth=3"}, ["input", "parameters"], "INVALID_ARGUMENT"),
        ("parameters of 2 MB", {"parameters": {"a": "x" * 2_000_000}}, ["input", "parameters"], "INVALID_ARGUMENT"),
        ("beyond 64 bits", {"parameters": {"a": 2**70}}, ["input", "parameters"], "INVALID_ARGUMENT"),
        ("NaN", {"parameters": {"a": float("nan")}}, ["input", "parameters"], "INVALID_ARGUMENT"),
        ("NUL in parameters", {"parameters": {"a": "\x00"}}, ["input", "parameters"], "INVALID_ARGUMENT"),
        ("a metric twice", {"metrics": [{"name": "a", "value": 1}] * 2}, ["input", "metrics"], "INVALID_ARGUMENT"),
        ("a metric without name", {"metrics": [{"name": "", "value": 1}]}, ["input", "metrics"], "INVALID_ARGUMENT"),
        ("too many metrics", {"metrics": [{"name": "a", "value": 1}] * 1001}, ["input", "metrics"], "INVALID_ARGUMENT"),
        ("NUL in the framework", {"framework": "\x00"}, ["input", "framework"], "INVALID_ARGUMENT"),
        ("a blank artifact", {"artifactUri": " "}, ["input", "artifactUri"], "INVALID_ARGUMENT"),
        ("a blank reason", {"reason": " "}, ["input", "reason"], "INVALID_ARGUMENT"),
        ("a long reason", {"reason": "x" * 2001}, ["input", "reason"], "INVALID_ARGUMENT"),
        ("an empty key", {"idempotencyKey": ""}, ["input", "idempotencyKey"], "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_wrong_with_a_version_is_told_at_its_field(
    api: Api, orders: Orders, case: str, changes: dict[str, Any], path: list[str], code: str
) -> None:
    error = await api.refused(REGISTER_MODEL, input={**a_model(orders.second), **changes})
    assert (error["path"], error["errorCode"]) == (path, code)
    assert (await api.data("{ models { totalCount } }"))["models"]["totalCount"] == 0


@pytest.mark.parametrize(
    ("case", "use", "path", "code"),
    [
        ("no dataset", {"dataset": {"namespace": "sales", "name": "order"}}, ["dataset"], "DATASET_NOT_FOUND"),
        ("no name", {"dataset": {"namespace": "sales", "name": ""}}, ["dataset", "name"], "INVALID_NAME"),
        ("no namespace", {"dataset": {"namespace": "", "name": "a"}}, ["dataset", "namespace"], "INVALID_NAME"),
        ("no snapshot", {"at": {"snapshotId": "77"}}, ["at", "snapshotId"], "VERSION_NOT_FOUND"),
        ("no tag", {"at": {"tag": "nope"}}, ["at", "tag"], "TAG_NOT_FOUND"),
        ("a number", {"at": {"number": 1}}, ["at", "number"], "INVALID_ARGUMENT"),
        ("nothing", {"at": {}}, ["at"], "AMBIGUOUS_REFERENCE"),
        ("two", {"at": {"ref": "main", "tag": TAG}}, ["at"], "AMBIGUOUS_REFERENCE"),
        ("no id", {"at": {"id": "x"}}, ["at", "id"], "INVALID_ARGUMENT"),
        ("no reference", {"at": {"ref": "a b"}}, ["at", "ref"], "INVALID_REFERENCE"),
    ],
)
async def test_what_is_wrong_with_training_data_is_told_at_its_place(
    api: Api, orders: Orders, case: str, use: dict[str, Any], path: list[str], code: str
) -> None:
    wanted = a_model(orders.second)
    wanted["trainingData"].append({"dataset": ORDERS, "at": {"ref": "main"}, **use})
    error = await api.refused(REGISTER_MODEL, input=wanted)
    assert (error["path"], error["errorCode"]) == (["input", "trainingData", "1", *path], code)


async def test_training_data_given_twice_or_expired_is_refused(api: Api, orders: Orders, catalog: Catalog) -> None:
    error = await api.refused(REGISTER_MODEL, input=a_model(orders.second, orders.second))
    assert (error["path"], error["code"]) == (["input", "trainingData"], "INVALID")
    version = await register_model(api, orders.second)
    table = catalog.load_table(ORDERS_NAME)
    table.manage_snapshots().remove_tag(PINNED).commit()
    catalog.load_table(ORDERS_NAME).manage_snapshots().remove_branch("dev").commit()
    catalog.load_table(ORDERS_NAME).maintenance.expire_snapshots().by_id(orders.second).commit()
    error = await api.refused(REGISTER_MODEL, input=a_model(orders.first, orders.second))
    assert (error["path"], error["code"]) == (["input", "trainingData", "1", "at", "snapshotId"], "EXPIRED")
    query = (
        "query($id: ID!) { node(id: $id) { ... on ModelVersion { isReproducible trainingData { version { id } } } } }"
    )
    found = await api.data(query, id=version["id"])
    assert found["node"] == {"isReproducible": False, "trainingData": [{"version": None}]}


async def test_training_data_that_was_taken_from_a_time_says_so(api: Api, orders: Orders) -> None:
    told = trained_on(ORDERS_NAME, orders.first)
    taken = replace(trained_on(ORDERS_NAME, orders.second), is_inferred=True)
    await api.services.registration.register(churn(), [told, taken], by_ada())
    data = await api.data('{ model(name: "churn") { latest { trainingData { versionLabel isInferred } } } }')
    assert data["model"]["latest"]["trainingData"] == [
        {"versionLabel": str(orders.first), "isInferred": False},
        {"versionLabel": str(orders.second), "isInferred": True},
    ]


async def test_a_version_without_training_data_is_warned_of(api: Api, orders: Orders) -> None:
    payload = (await api.data(REGISTER_MODEL, input=a_model()))["registerModelVersion"]
    assert payload["warnings"] and payload["modelVersion"]["isReproducible"] is None


async def test_a_repeated_request_is_answered_the_same(api: Api, orders: Orders) -> None:
    wanted = a_model(orders.second, idempotencyKey="k1")
    first = await api.data(REGISTER_MODEL, input=wanted)
    assert await api.data(REGISTER_MODEL, input=wanted) == first
    error = await api.refused(REGISTER_MODEL, input={**wanted, "framework": "other"})
    assert (error["path"], error["errorCode"]) == (["input", "idempotencyKey"], "IDEMPOTENCY_KEY_REUSED")


async def test_values_that_are_no_numbers_or_no_json_are_refused_by_the_schema(api: Api, orders: Orders) -> None:
    for value in ("0.85", True, None, float("nan"), float("inf"), 10**400):
        wanted = {**a_model(orders.second), "metrics": [{"name": "auc", "value": value}]}
        answer = await api.run(REGISTER_MODEL, input=wanted)
        assert answer.codes == ["GRAPHQL_VALIDATION_FAILED"], value
    for literal in ("1e999", "9" * 5000):
        document = f"""mutation {{ registerModelVersion(input: {{model: "m", metrics: [], trainingData: [],
            parameters: {{a: {literal}}}}}) {{ userErrors {{ path errorCode }} }} }}"""
        answer = await api.run(document)
        assert set(answer.codes) <= {"GRAPHQL_VALIDATION_FAILED"}
        if not answer.codes:
            assert answer.data["registerModelVersion"]["userErrors"] == [
                {"path": ["input", "parameters"], "errorCode": "INVALID_ARGUMENT"}
            ]
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    error = await api.refused(REGISTER_MODEL, input=a_model(orders.second, parameters={"a": deep}))
    assert error["path"] == ["input", "parameters"]


async def test_a_lake_that_is_away_costs_its_fields_alone(
    api: Api, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register_model(api, orders.second)

    async def away(*_: object) -> None:
        raise BackendUnavailableError("catalog", "it is away")

    monkeypatch.setattr(type(api.services.lake), "load", away)
    query = """{ models { nodes { name latest { number isReproducible tags { name }
        trainingData { name versionLabel dataset { name } version { snapshotId } } } } } }"""
    answer = await api.run(query)

    assert set(answer.codes) == {"BACKEND_UNAVAILABLE"}
    (model,) = answer.data["models"]["nodes"]
    assert model == {
        "name": "churn",
        "latest": {
            "number": 1,
            "isReproducible": None,
            "tags": [],
            "trainingData": [
                {
                    "name": ORDERS_NAME,
                    "versionLabel": str(orders.second),
                    "dataset": {"name": "orders"},
                    "version": None,
                }
            ],
        },
    }


async def test_training_data_of_a_renamed_or_dropped_table_is_still_told(
    api: Api, orders: Orders, catalog: Catalog
) -> None:
    await register_model(api, orders.second)
    query = """{ model(name: "churn") { latest { isReproducible trainingData { name dataset { name availability }
        version { snapshotId } } } } }"""

    catalog.rename_table(ORDERS_NAME, "sales.renamed")
    (use,) = (await api.data(query))["model"]["latest"]["trainingData"]
    assert use == {
        "name": ORDERS_NAME,
        "dataset": {"name": "renamed", "availability": "AVAILABLE"},
        "version": {"snapshotId": str(orders.second)},
    }
    catalog.drop_table("sales.renamed")
    answer = await api.run(query)
    latest = answer.data["model"]["latest"]
    assert latest["isReproducible"] is False
    assert latest["trainingData"] == [
        {"name": ORDERS_NAME, "dataset": {"name": "orders", "availability": "EXPIRED"}, "version": None}
    ]


async def test_a_registry_that_is_away_costs_its_fields_alone(
    api: Api, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register_model(api, orders.second)

    async def away(*_: object, **__: object) -> None:
        raise BackendUnavailableError("postgres", "it is away")

    for owner, methods in (
        (type(api.services.version_tags), ("of_subjects", "pages")),
        (type(api.services.models), ("trained_on", "pages_of_versions")),
        (type(api.services.runs), ("producers", "find", "pages_of_consumers")),
    ):
        for method in methods:
            monkeypatch.setattr(owner, method, away)
    query = """{ dataset(namespace: "sales", name: "orders") { current { snapshotId producedBy { runId }
            consumedBy { totalCount } trainedModels { number } } }
        model(name: "churn") { name latest { number tags { name } } tags { totalCount } versions { totalCount } } }"""

    answer = await api.run(query)

    assert set(answer.codes) == {"BACKEND_UNAVAILABLE"} and len(answer.codes) == 6
    assert answer.data == {
        "dataset": {
            "current": {
                "snapshotId": str(orders.third),
                "producedBy": None,
                "consumedBy": None,
                "trainedModels": None,
            }
        },
        "model": {
            "name": "churn",
            "latest": {"number": 1, "tags": []},
            "tags": {"totalCount": 0},
            "versions": {"totalCount": 0},
        },
    }
