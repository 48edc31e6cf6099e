"""What the stock client asks of Qdrant; the same tests pass on a real server when QDRANT_URL is set."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import numpy
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

UUID = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"


@pytest.fixture
def client(qdrant_url: str) -> Iterator[QdrantClient]:
    made = QdrantClient(url=qdrant_url, api_key=os.environ.get("QDRANT_API_KEY"), timeout=60, check_compatibility=False)
    yield made
    made.close()


@pytest.fixture
def name(client: QdrantClient) -> str:
    made = f"test_{uuid.uuid4().hex[:8]}"
    client.create_collection(made, vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
    points = [
        models.PointStruct(id=1, vector=[3, 0, 0, 4], payload={"kind": "a", "n": 1, "tags": ["x", "y"]}),
        models.PointStruct(id=2, vector=[0, 1, 0, 0], payload={"kind": "b", "n": 2, "empty": None}),
        models.PointStruct(id=UUID, vector=[1, 1, 1, 1], payload={"kind": "a", "n": 3.5, "nested": {"deep": True}}),
    ]
    client.upsert(made, points, wait=True)
    return made


def _where(**kind: object) -> models.Filter:
    return models.Filter(
        must=[models.FieldCondition(key=key, match=models.MatchValue(value=value)) for key, value in kind.items()]
    )


def _ids(client: QdrantClient, name: str, chosen: models.Filter | None = None) -> set[int | str]:
    return {one.id for one in client.scroll(name, scroll_filter=chosen, limit=100)[0]}


def test_cosine_vectors_are_normalised_on_store(client: QdrantClient, name: str) -> None:
    (found,) = client.retrieve(name, [1], with_vectors=True)
    assert numpy.allclose(found.vector, [0.6, 0, 0, 0.8])


def test_payloads_come_back_as_sent(client: QdrantClient, name: str) -> None:
    payload = {
        "text": "ü 🚀 \u202e",
        "big": 2**63 - 1,
        "float": 0.1,
        "null": None,
        "list": [1, "x", {"y": []}],
        "yes": True,
    }
    client.upsert(name, [models.PointStruct(id=9, vector=[1, 0, 0, 0], payload=payload)], wait=True)
    assert client.retrieve(name, [9])[0].payload == payload
    client.upsert(name, [models.PointStruct(id=9, vector=[1, 0, 0, 0], payload={"other": 1})], wait=True)
    assert client.retrieve(name, [9])[0].payload == {"other": 1}


def test_points_in_columns_are_the_same_as_in_a_list(client: QdrantClient, name: str) -> None:
    columns = models.Batch(ids=[7, 8], vectors=[[1, 0, 0, 0], [0, 0, 1, 0]], payloads=[{"a": 1}, {}])
    client.upsert(name, columns, wait=True)
    assert [one.payload for one in client.retrieve(name, [7, 8])] == [{"a": 1}, {}]


def test_retrieve_leaves_out_what_is_not_there_and_selects(client: QdrantClient, name: str) -> None:
    found = client.retrieve(name, [1, 404, UUID], with_payload=["kind"])
    assert {one.id: one.payload for one in found} == {1: {"kind": "a"}, UUID: {"kind": "a"}}
    assert client.retrieve(name, [1], with_payload=False)[0].payload in (None, {})


def test_scroll_pages_through_all_points_once(client: QdrantClient, name: str) -> None:
    seen, offset = [], None
    while True:
        page, offset = client.scroll(name, limit=2, offset=offset)
        seen += [one.id for one in page]
        if offset is None:
            break
    assert seen == [1, 2, UUID]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (models.FieldCondition(key="kind", match=models.MatchValue(value="a")), {1, UUID}),
        (models.FieldCondition(key="kind", match=models.MatchAny(any=["b", "c"])), {2}),
        (models.FieldCondition(key="kind", match=models.MatchExcept(**{"except": ["b"]})), {1, UUID}),
        (models.FieldCondition(key="tags", match=models.MatchValue(value="x")), {1}),
        (models.FieldCondition(key="nested.deep", match=models.MatchValue(value=True)), {UUID}),
        (models.FieldCondition(key="n", match=models.MatchValue(value=1)), {1}),
        (models.FieldCondition(key="n", range=models.Range(gt=1, lte=3.5)), {2, UUID}),
        (models.FieldCondition(key="tags", values_count=models.ValuesCount(gte=2)), {1}),
        (models.HasIdCondition(has_id=[2, UUID]), {2, UUID}),
        (models.IsEmptyCondition(is_empty=models.PayloadField(key="tags")), {2, UUID}),
        (models.IsNullCondition(is_null=models.PayloadField(key="empty")), {2}),
        (models.Filter(must_not=[models.HasIdCondition(has_id=[1])]), {2, UUID}),
        (models.Filter(should=[models.HasIdCondition(has_id=[1]), models.HasIdCondition(has_id=[2])]), {1, 2}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_filters_choose(client: QdrantClient, name: str, condition: models.Condition, expected: set[int | str]) -> None:
    chosen = models.Filter(must=[condition])
    assert _ids(client, name, chosen) == expected
    assert client.count(name, count_filter=chosen).count == len(expected)


def test_query_finds_the_nearest_by_vector_and_by_point(client: QdrantClient, name: str) -> None:
    found = client.query_points(name, query=[1, 0, 0, 0], limit=2, with_payload=True).points
    assert [one.id for one in found] == [1, UUID]
    assert found[0].score == pytest.approx(0.6)
    assert found[0].payload["kind"] == "a"
    assert [one.id for one in client.query_points(name, query=1, limit=5).points] == [UUID, 2]
    assert [one.id for one in client.query_points(name, query=[1, 0, 0, 0], score_threshold=0.55).points] == [1]
    only = client.query_points(name, query=[1, 0, 0, 0], query_filter=_where(kind="b"), with_vectors=True).points
    assert [(one.id, one.vector) for one in only] == [(2, [0, 1, 0, 0])]


def test_payload_is_set_overwritten_deleted_and_cleared(client: QdrantClient, name: str) -> None:
    client.set_payload(name, {"kind": "z", "new": 1}, points=[1], wait=True)
    assert client.retrieve(name, [1])[0].payload == {"kind": "z", "n": 1, "tags": ["x", "y"], "new": 1}
    client.overwrite_payload(name, {"only": 1}, points=[1], wait=True)
    assert client.retrieve(name, [1])[0].payload == {"only": 1}
    client.delete_payload(name, ["n"], points=_where(kind="b"), wait=True)
    assert client.retrieve(name, [2])[0].payload == {"kind": "b", "empty": None}
    client.clear_payload(name, [2], wait=True)
    assert client.retrieve(name, [2])[0].payload == {}


def test_vectors_are_updated_without_touching_the_payload(client: QdrantClient, name: str) -> None:
    client.update_vectors(name, [models.PointVectors(id=2, vector=[0, 0, 2, 0])], wait=True)
    (found,) = client.retrieve(name, [2], with_vectors=True)
    assert (found.vector, found.payload["kind"]) == ([0, 0, 1, 0], "b")


def test_points_are_deleted_by_id_and_by_filter(client: QdrantClient, name: str) -> None:
    client.delete(name, points_selector=[1, 404], wait=True)
    assert _ids(client, name) == {2, UUID}
    client.delete(name, points_selector=_where(kind="a"), wait=True)
    assert _ids(client, name) == {2}


def test_a_batch_of_writes_is_applied_in_order(client: QdrantClient, name: str) -> None:
    point = models.PointStruct(id=1, vector=[1, 0, 0, 0], payload={"step": 1})
    operations = [
        models.DeleteOperation(delete=models.PointIdsList(points=[1])),
        models.UpsertOperation(upsert=models.PointsList(points=[point])),
        models.SetPayloadOperation(set_payload=models.SetPayload(payload={"last": 2}, points=[1])),
    ]
    client.batch_update_points(name, operations, wait=True)
    assert client.retrieve(name, [1])[0].payload == {"step": 1, "last": 2}


def test_an_alias_stands_for_its_collection_and_is_switched(client: QdrantClient, name: str) -> None:
    other, alias = f"{name}_v2", f"{name}_alias"
    client.create_collection(other, vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
    create = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name=alias))
    client.update_collection_aliases([create])
    assert client.count(alias).count == 3
    assert client.collection_exists(alias)
    client.upsert(alias, [models.PointStruct(id=10, vector=[1, 0, 0, 0])], wait=True)
    assert client.count(name).count == 4
    switch = [
        models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)),
        models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=other, alias_name=alias)),
    ]
    client.update_collection_aliases(switch)
    assert client.count(alias).count == 0
    assert [one.alias_name for one in client.get_collection_aliases(other).aliases] == [alias]
    client.delete_collection(other)
    assert not client.collection_exists(alias)


def test_alias_actions_happen_all_or_none(client: QdrantClient, name: str) -> None:
    good = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name=f"{name}_x"))
    bad = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="nope", alias_name=f"{name}_y"))
    with pytest.raises(UnexpectedResponse):
        client.update_collection_aliases([good, bad])
    if not os.environ.get("QDRANT_URL"):
        assert client.get_collection_aliases(name).aliases == []


def test_collection_info_tells_state_count_and_configuration(client: QdrantClient, name: str) -> None:
    info = client.get_collection(name)
    assert (info.status, info.points_count) == (models.CollectionStatus.GREEN, 3)
    assert (info.config.params.vectors.size, info.config.params.vectors.distance) == (4, models.Distance.COSINE)
    assert name in {one.name for one in client.get_collections().collections}
    assert client.delete_collection(name)
    assert not client.collection_exists(name)


def test_payload_indexes_are_made_listed_used_and_dropped(client: QdrantClient, name: str) -> None:
    client.create_payload_index(name, "kind", models.PayloadSchemaType.KEYWORD, wait=True)
    assert client.get_collection(name).payload_schema["kind"].data_type == models.PayloadSchemaType.KEYWORD
    assert {hit.value: hit.count for hit in client.facet(name, "kind", exact=True).hits} == {"a": 2, "b": 1}
    client.delete_payload_index(name, "kind", wait=True)
    assert client.get_collection(name).payload_schema == {}


def test_named_vectors_live_side_by_side(client: QdrantClient, name: str) -> None:
    made = f"{name}_named"
    params = {
        "text": models.VectorParams(size=2, distance=models.Distance.DOT),
        "image": models.VectorParams(size=3, distance=models.Distance.EUCLID),
    }
    client.create_collection(made, vectors_config=params)
    client.upsert(made, [models.PointStruct(id=1, vector={"text": [1, 2], "image": [3, 4, 5]})], wait=True)
    assert client.retrieve(made, [1], with_vectors=True)[0].vector == {"text": [1, 2], "image": [3, 4, 5]}
    assert client.query_points(made, query=[1, 1], using="text").points[0].score == pytest.approx(3)
    client.delete_collection(made)


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({"id": 1, "vector": [1.0, 2.0]}, "dimension"),
        ({"id": 1, "vector": [1.0, 2.0, 3.0, None]}, ""),
        ({"id": "NAME_0", "vector": [1.0, 2.0, 3.0, 4.0]}, ""),
        ({"id": -1, "vector": [1.0, 2.0, 3.0, 4.0]}, ""),
        ({"id": 1.5, "vector": [1.0, 2.0, 3.0, 4.0]}, ""),
        ({"id": 2**64, "vector": [1.0, 2.0, 3.0, 4.0]}, ""),
        ({"id": 1, "vector": {"nope": [1.0]}}, "vector name"),
        ({"id": 1, "vector": [1.0, 2.0, 3.0, 4.0], "payload": []}, ""),
        ({"vector": [1.0, 2.0, 3.0, 4.0]}, "id"),
    ],
)
def test_a_bad_point_is_refused_with_400_and_none_of_its_request_is_stored(
    qdrant_url: str, client: QdrantClient, name: str, point: dict[str, object], words: str
) -> None:
    import httpx

    good = {"id": 50, "vector": [1.0, 0.0, 0.0, 0.0]}
    url = f"{qdrant_url}/collections/{name}/points?wait=true"
    headers = {"api-key": key} if (key := os.environ.get("QDRANT_API_KEY")) else {}
    answer = httpx.put(url, json={"points": [good, point]}, headers=headers)
    assert answer.status_code == 400
    assert words.lower() in answer.json()["status"]["error"].lower()
    assert client.count(name).count == 3


def test_a_nan_is_refused(client: QdrantClient, name: str) -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        client.upsert(name, [models.PointStruct(id=1, vector=[1, 2, 3, float("nan")])])
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.count("nope"),
        lambda client: client.scroll("nope"),
        lambda client: client.get_collection("nope"),
        lambda client: client.upsert("nope", [models.PointStruct(id=1, vector=[1.0])]),
    ],
)
def test_an_unknown_collection_is_404_in_qdrants_words(client: QdrantClient, ask: object) -> None:
    with pytest.raises(UnexpectedResponse, match="Not found: Collection") as caught:
        ask(client)  # type: ignore[operator]
    assert caught.value.status_code == 404


def test_creating_a_collection_twice_is_a_conflict(client: QdrantClient, name: str) -> None:
    with pytest.raises(UnexpectedResponse, match="already exists") as caught:
        client.create_collection(name, vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT))
    assert caught.value.status_code == 409
