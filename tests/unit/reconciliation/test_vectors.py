"""Vectors: the model, the text and the stored form each tell on a point that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from data_workbench.embedding.hashing import HashingEmbedder
from data_workbench.mapping.payload_values import text_hash
from data_workbench.reconciliation.compare import Comparison
from data_workbench.reconciliation.vectors import (
    ACTUAL,
    EXPECTED,
    TEXT,
    VECTOR,
    VECTOR_HASH,
    VectorComparison,
    VectorVerdict,
    hash_vectors,
)
from data_workbench.records.marks import OWNED, STAMP_MODEL, STAMP_TEXT_HASH
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = "hashing"
SCHEMA = pa.schema([("id", pa.int64())])
NOTHING = pa.table({"id": pa.array([], pa.int64()), VECTOR_HASH: [], STAMP_TEXT_HASH: [], STAMP_MODEL: []})


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    return HashingEmbedder(384).embed(list(texts))


def point(number: int, text: str, **changed: Any) -> dict[str, Any]:
    """A point as it should stand, or with something changed behind our back."""
    right = {
        "id": number,
        OWNED: True,
        STAMP_MODEL: MODEL,
        STAMP_TEXT_HASH: text_hash([text])[0],
        VECTOR: embed([text])[0].tolist(),
    }
    return {**right, **changed}


@contextmanager
def compared(
    folder: Path,
    texts: dict[int, str],
    points: list[dict[str, Any]],
    *,
    known: pa.Table = NOTHING,
    model: str | None = MODEL,
    vectors: dict[int, list[float]] | None = None,
) -> Iterator[tuple[VectorComparison, VectorVerdict]]:
    with Comparison(SCHEMA, ("id",), folder / "c", Settings(), carry_expected=EXPECTED, carry_actual=ACTUAL) as sides:
        ids = list(vectors or texts)
        shall = {
            "id": pa.array(ids, pa.int64()),
            TEXT: pa.array([texts.get(one) for one in ids], pa.string()),
            STAMP_TEXT_HASH: pa.array(text_hash([texts.get(one) for one in ids]), pa.string()),
            VECTOR: pa.array([(vectors or {}).get(one) for one in ids], pa.list_(pa.float32())),
        }
        sides.expect(pa.table(shall).to_batches())
        read = pa.schema([*SCHEMA, *(item for item in ACTUAL if item.name != VECTOR_HASH), pa.field(OWNED, pa.bool_())])
        sides.observe(hash_vectors(pa.Table.from_pylist(points, schema=read).to_batches()))
        found = VectorComparison(sides, model=model, known=[known], embed=embed)
        yield found, found.judge()


def ids(table: pa.Table) -> list[int]:
    return sorted(table.column("id").to_pylist())


TEXTS = {1: "the wing shall hold", 2: "the wing shall bend", 3: "🛩️ مرحبا", 4: ""}


def test_points_of_the_right_text_and_model_agree_and_are_kept(tmp_path: Path) -> None:
    with compared(tmp_path, TEXTS, [point(*one) for one in TEXTS.items()]) as (comparison, verdict):
        assert (ids(verdict.stale), ids(verdict.wrong_model)) == ([], [])
        kept = pa.concat_tables(comparison.fresh())
    assert ids(kept) == [1, 2, 3, 4]
    assert kept.column_names == ["id", VECTOR_HASH, STAMP_TEXT_HASH, STAMP_MODEL]


def test_another_model_another_text_and_no_stamp_are_told_apart(tmp_path: Path) -> None:
    points = [
        point(1, TEXTS[1], **{STAMP_MODEL: "other"}),
        point(2, "an older text"),
        point(3, TEXTS[3], **{STAMP_MODEL: None}),
        point(4, TEXTS[4], **{STAMP_TEXT_HASH: None}),
    ]
    with compared(tmp_path, TEXTS, points) as (comparison, verdict):
        assert ids(verdict.wrong_model) == [1, 3]
        assert ids(verdict.stale) == [2, 4]
        assert sum(page.num_rows for page in comparison.fresh()) == 0


def test_a_vector_changed_behind_right_stamps_is_found_by_its_fingerprint(tmp_path: Path) -> None:
    many = {number: f"text {number}" for number in range(200)}
    with compared(tmp_path / "a", many, [point(*one) for one in many.items()]) as (comparison, _):
        known = pa.concat_tables(comparison.fresh())
    points = [point(*one) for one in many.items()]
    points[77][VECTOR] = embed(["something else"])[0].tolist()
    with compared(tmp_path / "b", many, points, known=known) as (comparison, verdict):
        assert ids(verdict.stale) == [77]
        kept = pa.concat_tables(comparison.fresh())
    assert 77 not in ids(kept)
    assert kept.num_rows == 199


def test_a_vector_that_only_points_the_same_way_is_right(tmp_path: Path) -> None:
    points = [point(1, TEXTS[1], **{VECTOR: (embed([TEXTS[1]])[0] * 3).tolist()})]
    with compared(tmp_path, {1: TEXTS[1]}, points) as (_, verdict):
        assert ids(verdict.stale) == []


@pytest.mark.parametrize("vector", [None, [], [0.0] * 384, [1.0, 0.0]])
def test_a_vector_that_is_gone_empty_or_of_another_length_is_stale(tmp_path: Path, vector: Any) -> None:
    with compared(tmp_path, {1: TEXTS[1]}, [point(1, TEXTS[1], **{VECTOR: vector})]) as (_, verdict):
        assert ids(verdict.stale) == [1]


def test_points_that_are_missing_or_surplus_are_no_matter_of_vectors(tmp_path: Path) -> None:
    with compared(tmp_path, {1: TEXTS[1]}, [point(9, "other")]) as (_, verdict):
        assert (ids(verdict.stale), ids(verdict.wrong_model)) == ([], [])


def test_vectors_of_a_column_are_compared_by_direction(tmp_path: Path) -> None:
    shall: dict[int, list[float]] = {1: [3.0, 4.0], 2: [1.0, 0.0], 3: [1.0, 0.0], 4: [1.0, 0.0]}
    bare = {STAMP_MODEL: None, STAMP_TEXT_HASH: None}
    stands: dict[int, Any] = {1: [0.6, 0.8], 2: [0.0, 1.0], 3: None, 4: [1.0, 0.0, 0.0]}
    points = [point(number, "", **bare, **{VECTOR: vector}) for number, vector in stands.items()]
    with compared(tmp_path, {}, points, model=None, vectors=shall) as (_, verdict):
        assert ids(verdict.stale) == [2, 3, 4]
