"""Qdrant as a destination and as a source, against a server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import SecretStr
from qdrant_client import QdrantClient, models

from data_workbench.connectors.base import CursorRequest, ReadRequest, Rejection
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.qdrant.destination import QdrantDestination
from data_workbench.connectors.qdrant.source import QdrantSource
from data_workbench.errors import SchemaConflict, StreamUnknown, Unsupported
from data_workbench.events import Event, subscribed
from data_workbench.mapping.payload_values import text_hash
from data_workbench.mapping.targets import CollectionTarget, Disposition, Embedding, LoadContext
from data_workbench.records import marks
from data_workbench.records.accounting import WriteCounts
from data_workbench.settings import Settings

MODEL = "hashing-16"
SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("text", pa.string())])


@pytest.fixture
def connection(qdrant_url: str) -> Connection:
    key = os.environ.get("QDRANT_API_KEY")
    return Connection(
        id="odras_qdrant", kind="qdrant", password=SecretStr(key) if key else None, extra={"url": qdrant_url}
    )


@pytest.fixture
def client(qdrant_url: str) -> Iterator[QdrantClient]:
    found = QdrantClient(url=qdrant_url, api_key=os.environ.get("QDRANT_API_KEY"), check_compatibility=False)
    yield found
    found.close()


@pytest.fixture
def destination(connection: Connection) -> Iterator[QdrantDestination]:
    with QdrantDestination(connection, Settings()) as found:
        yield found


@pytest.fixture
def source(connection: Connection) -> Iterator[QdrantSource]:
    with QdrantSource(connection, Settings()) as found:
        yield found


def _context(run: str = "run-1", pipeline: str = "p", **more: Any) -> LoadContext:
    return LoadContext(pipeline, "d", run, 0, "2026-01-01T00:00:00+00:00", **more)


def _target(write: Disposition = "merge", model: str = MODEL, **more: Any) -> CollectionTarget:
    return CollectionTarget("i", "wb_test", ("id",), write, embed=Embedding("text", model), **more)


def _rows(*rows: tuple[int, str | None, str | None]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)


@pytest.fixture
def load(destination: QdrantDestination) -> Callable[..., tuple[WriteCounts, list[Rejection]]]:
    def run(
        target: CollectionTarget, *parts: pa.Table, context: LoadContext | None = None
    ) -> tuple[WriteCounts, list[Rejection]]:
        schema = pa.schema([item for item in parts[0].schema if not item.name.startswith("_wb_")])
        with destination.open(target, schema, context or _context()) as writer:
            for index, part in enumerate(parts):
                writer.write(part, index)
            counts = writer.finish()
            counts.check("test")
            return counts, writer.rejections

    return run


def _stands(destination: QdrantDestination, target: CollectionTarget, keys: pa.Table | None = None) -> dict[int, Any]:
    batches = destination.read_back(target, SCHEMA, _context(), keys)
    return {row["id"]: row for batch in batches for row in batch.to_pylist()}


def test_points_are_embedded_stamped_and_read_back(destination, client, load) -> None:
    counts, rejected = load(
        _target(), _rows((1, "a", "first text"), (2, None, "second"), (3, "c", " "), (4, "d", None))
    )
    assert counts == WriteCounts(inserted=2, rejected=2, out=4)
    assert [(one.key, one.rule) for one in rejected] == [({"id": 3}, "embed_text"), ({"id": 4}, "embed_text")]
    point = client.retrieve("wb_test", [1], with_payload=True)[0]
    assert point.payload == {
        "id": 1,
        "name": "a",
        "_wb_pipeline": "p",
        "_wb_run": "run-1",
        "_wb_model": MODEL,
        "_wb_text_hash": text_hash(["first text"])[0],
    }
    stands = _stands(destination, _target())
    assert stands[2]["name"] is None
    assert stands[1][marks.OWNED] is True
    assert stands[1]["_wb_model"] == MODEL
    assert np.linalg.norm(stands[1]["_wb_vector"]) == pytest.approx(1.0, abs=1e-5)
    assert list(_stands(destination, _target(), pa.table({"id": pa.array([2, 99], pa.int32())}))) == [2]


def test_text_is_in_the_payload_only_when_named(client, load) -> None:
    load(_target(payload=("text",)), _rows((1, "a", "t")))
    payload = client.retrieve("wb_test", [1])[0].payload or {}
    assert {name for name in payload if not name.startswith("_wb_")} == {"id", "text"}


def test_unchanged_points_are_neither_embedded_nor_written(load, monkeypatch) -> None:
    rows = _rows((1, "a", "one"), (2, "b", "two"), (3, "c", "three"))
    load(_target(), rows)
    embedded: list[str] = []
    from data_workbench.embedding.hashing import HashingEmbedder

    real = HashingEmbedder.embed

    def counting(self: HashingEmbedder, texts: list[str]) -> Any:
        embedded.extend(texts)
        return real(self, texts)

    monkeypatch.setattr(HashingEmbedder, "embed", counting)
    assert load(_target(), rows, context=_context("run-2"))[0] == WriteCounts(unchanged=3, out=3)
    assert embedded == []
    changed = _rows((1, "a", "one"), (2, "B", "two"), (3, "c", "third"), (4, "d", "four"))
    assert load(_target(), changed, context=_context("run-3"))[0] == WriteCounts(
        inserted=1, updated=2, unchanged=1, out=4
    )
    assert embedded == ["third", "four"]


def test_a_payload_alone_is_overwritten_and_the_vector_stays(destination, client, load) -> None:
    load(_target(), _rows((1, "a", "one")))
    before = _stands(destination, _target())[1]["_wb_vector"]
    client.set_payload("wb_test", {"stray": 1}, points=[1], wait=True)
    assert load(_target(), _rows((1, "b", "one")))[0].updated == 1
    assert _stands(destination, _target())[1]["_wb_vector"] == pytest.approx(before, abs=1e-6)
    assert "stray" not in (client.retrieve("wb_test", [1])[0].payload or {})


def test_tombstones_and_retractions_delete_only_owned_points(destination, load) -> None:
    load(_target(), _rows((1, "a", "one"), (2, "b", "two"), (3, "c", "three")))
    load(_target(), _rows((9, "x", "other")), context=_context(pipeline="other"))
    part = _rows((1, None, None), (9, None, None), (77, None, None), (2, None, None), (78, None, None))
    part = part.append_column(marks.OP, pa.array(["d", "d", "d", "f", "f"]))
    assert load(_target(), part)[0] == WriteCounts(deleted=2, unchanged=2, out=3, retracted=1)
    stands = _stands(destination, _target())
    assert {key: row[marks.OWNED] for key, row in stands.items()} == {3: True, 9: False}
    assert destination.delete(_target(), SCHEMA, _context(), pa.table({"id": [3, 9]})) == 1


def test_another_model_is_refused_unless_allowed(destination, client, load) -> None:
    load(_target(), _rows((1, "a", "one")))
    other = _target()
    client.set_payload("wb_test", {"_wb_model": "hashing-x"}, points=[1], wait=True)
    with pytest.raises(SchemaConflict, match="hashing-x"):
        load(other, _rows((1, "a", "one")))
    counts, _ = load(other, _rows((1, "a", "one")), context=_context(allow=("model",)))
    assert counts.updated == 1
    assert _stands(destination, other)[1]["_wb_model"] == MODEL


def test_another_model_of_the_same_size_is_refused_before_anything_is_embedded(destination, client, load) -> None:
    load(_target(model="hashing-384"), _rows((1, "a", "one")))
    other = _target(model="all-MiniLM-L6-v2")
    assert other.embed is not None
    with pytest.raises(SchemaConflict, match="points of model 'hashing-384', this load embeds with 'all-MiniLM-L6-v2'"):
        load(other, _rows((1, "a", "one"), (2, "b", "two")))
    standing = client.retrieve("wb_test", [1, 2], with_payload=["_wb_model"])
    assert [one.payload for one in standing] == [{"_wb_model": "hashing-384"}]


def test_a_collection_of_another_size_is_refused(destination, load) -> None:
    load(_target(), _rows((1, "a", "one")))
    with pytest.raises(SchemaConflict, match="size 16, this load makes 32"):
        load(_target(model="hashing-32"), _rows((1, "a", "one")))
    assert destination.plan(_target(model="hashing-32"), SCHEMA)[0].action == "refuse"


def test_vectors_that_cannot_be_are_rejected_and_the_others_loaded(destination, load) -> None:
    target = CollectionTarget("i", "wb_test", ("id",), "merge", vector="v")
    vectors = [[1, 2], [float("nan"), 1], None, [0, 0], [1, 2, 3], [float("inf"), 0], [3, None], [-2, 1]]
    rows = pa.table({"id": list(range(8)), "v": pa.array(vectors, pa.list_(pa.float64()))})
    counts, rejected = load(target, rows)
    assert counts == WriteCounts(inserted=2, rejected=6, out=8)
    assert [one.key["id"] for one in rejected] == [1, 2, 3, 4, 5, 6]
    assert load(target, rows)[0] == WriteCounts(unchanged=2, rejected=6, out=8)
    turned = pa.table({"id": [0], "v": pa.array([[2, 1]], pa.list_(pa.float64()))})
    assert load(target, turned)[0].updated == 1


def test_replace_switches_an_alias_and_drops_the_old_collection(destination, client, load) -> None:
    target = _target("replace")
    load(target, _rows((1, "a", "one"), (2, "b", "two")))
    with destination.open(target, SCHEMA, _context("run-2")) as writer:
        writer.write(_rows((5, "e", "five")), 0)
        assert set(_stands(destination, target)) == {1, 2}
    load(target, _rows((3, "c", "three")), context=_context("run-3"))
    assert set(_stands(destination, target)) == {3}
    load(target, _rows((3, "c", "three")), context=_context("run-3"))
    assert set(_stands(destination, target)) == {3}
    physical = [one.name for one in client.get_collections().collections if one.name.startswith("wb_test__")]
    assert len([name for name in physical if "run-2" not in name]) == 1
    assert load(_target("merge"), _rows((4, "d", "four")))[0].inserted == 1


def test_a_replace_that_was_killed_goes_on_in_the_collection_it_had_begun(destination, load) -> None:
    target = _target("replace")
    load(target, _rows((9, "i", "nine")), context=_context("run-1"))
    with destination.open(target, SCHEMA, _context("run-2")) as writer:
        writer.write(_rows((1, "a", "one")), 0)  # and killed; the first part is noted as written
    with destination.open(target, SCHEMA, _context("run-2")) as writer:
        writer.write(_rows((2, "b", "two")), 1)
        writer.finish()
    assert set(_stands(destination, target)) == {1, 2}


def test_replacing_a_plain_collection_is_refused_with_what_to_do(destination, load) -> None:
    load(_target(), _rows((1, "a", "one")))
    with pytest.raises(Unsupported) as caught:
        load(_target("replace"), _rows((1, "a", "one")))
    assert "merge" in (caught.value.hint or "")
    assert destination.plan(_target("replace"), SCHEMA)[0].action == "refuse"


def test_append_without_a_key_is_not_doubled_by_a_restart(client, load) -> None:
    target = CollectionTarget("i", "wb_test", (), "append", embed=Embedding("text", MODEL))
    for _ in range(2):
        assert load(target, _rows((1, "a", "one"), (1, "a", "one")))[0].inserted == 2
    load(target, _rows((1, "a", "one")), context=_context("run-2"))
    assert client.count("wb_test").count == 3


def test_text_and_composite_keys_get_stable_ids(destination, client, load) -> None:
    target = CollectionTarget("i", "wb_test", ("name", "id"), "merge", embed=Embedding("text", MODEL))
    rows = _rows((1, "Ä\0", "one"), (-1, "", "two"))
    load(target, rows)
    assert load(target, rows)[0].unchanged == 2
    keys = rows.select(["name", "id"]).slice(0, 1)
    found = [row for batch in destination.read_back(target, SCHEMA, _context(), keys) for row in batch.to_pylist()]
    assert [row["name"] for row in found] == ["Ä\0"]


def test_a_value_changed_by_hand_is_read_back_as_it_stands(destination, client, load) -> None:
    load(_target(), _rows((1, "a", "one")))
    client.set_payload("wb_test", {"id": "no number", "name": [1]}, points=[1], wait=True)
    row = next(iter(destination.read_back(_target(), SCHEMA, _context(), pa.table({"id": [1]})))).to_pylist()[0]
    assert row["id"] is None
    assert row["name"] == "[1]"


def test_unique_values_of_other_keys_are_found(destination, load) -> None:
    load(_target(), _rows((1, "a", "one"), (2, "b", "two")))
    found = destination.find_unique(_target(), ("name",), pa.table({"name": ["b", "z"]}))
    assert found.to_pylist() == [{"id": 2, "name": "b"}]


def test_commits_are_told(destination) -> None:
    told: list[Event] = []
    with subscribed(told.append), destination.open(_target(), SCHEMA, _context()) as writer:
        writer.write(_rows((1, "a", "one")), 0)
        writer.finish()
    assert [event.name for event in told] == ["load.before_commit", "load.after_commit"]


def test_large_payloads_go_in_several_requests(client, load) -> None:
    rows = _rows(*((number, "y" * 5_000_000, "t") for number in range(1, 9)))
    assert load(_target(), rows)[0].inserted == 8
    assert client.count("wb_test").count == 8


def test_a_source_finds_columns_and_reads_vectors(source, client) -> None:
    client.create_collection("wb_read", models.VectorParams(size=2, distance=models.Distance.COSINE))
    points = [
        models.PointStruct(id=1, vector=[3, 4], payload={"n": 1, "f": 1, "tags": ["x"], "mixed": 1, "o": {"a": 1}}),
        models.PointStruct(id=2, vector=[0, 1], payload={"n": 2, "f": 1.5, "mixed": "s", "_wb_run": "r"}),
    ]
    client.upsert("wb_read", points, wait=True)
    stream = source.describe("wb_read")
    assert {item.name: str(item.type) for item in stream.schema} == {
        "id": "uint64",
        "n": "int64",
        "f": "double",
        "tags": "list<item: string>",
        "mixed": "string",
        "o": "string",
        "vector": "list<item: float>",
    }
    rows = [row for batch in source.read(ReadRequest("wb_read")) for row in batch.to_pylist()]
    assert rows[0]["mixed"] == "1"
    assert json.loads(rows[0]["o"]) == {"a": 1}
    assert rows[0]["vector"] == pytest.approx([0.6, 0.8])
    by_id = source.read(ReadRequest("wb_read", columns=("n",), keys=pa.table({"id": [2, 3]})))
    assert [row for batch in by_id for row in batch.to_pylist()] == [{"n": 2}]
    since = source.read(ReadRequest("wb_read", columns=("n",), cursor=CursorRequest("n", state={"watermark": "2"})))
    assert [row for batch in since for row in batch.to_pylist()] == [{"n": 2}]
    assert since.position() == {"watermark": "2"}
    with pytest.raises(StreamUnknown) as caught:
        source.describe("wb_raed")
    assert "wb_read" in (caught.value.hint or "")


def test_named_vectors_and_aliases_are_read(source, client) -> None:
    size = models.VectorParams(size=2, distance=models.Distance.DOT)
    client.create_collection("wb_named", {"title": size, "body": size})
    one = models.PointStruct(id="550e8400-e29b-41d4-a716-446655440000", vector={"title": [1, 2]}, payload={"id": "k"})
    client.upsert("wb_named", [one], wait=True)
    alias = models.CreateAlias(collection_name="wb_named", alias_name="wb_alias")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    try:
        rows = [row for batch in source.read(ReadRequest("wb_alias")) for row in batch.to_pylist()]
        assert rows == [
            {
                "point_id": "550e8400-e29b-41d4-a716-446655440000",
                "id": "k",
                "vector_title": [1.0, 2.0],
                "vector_body": None,
            }
        ]
        assert source.describe("wb_alias").kind == "alias"
    finally:
        drop = models.DeleteAlias(alias_name="wb_alias")
        client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=drop)])


def test_a_server_that_is_away_is_named() -> None:
    away = Connection(id="gone", kind="qdrant", host="127.0.0.1", port=9)
    with QdrantSource(away, Settings()) as nowhere:
        health = nowhere.check()
    assert not health.ok
    assert "127.0.0.1:9" in health.detail
