"""What a point's vector must agree with: the model asked for, its text, and the bytes kept after the write.

A stamp in the store says model and text hash; both are compared with what is expected. The vector itself is compared
by a fingerprint of its stored form, kept outside the store when it was written. Where a fingerprint differs or is not
known, the text is embedded again and the two vectors must point the same way; a sample is embedded again regardless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from data_workbench.reconciliation.compare import Comparison
from data_workbench.reconciliation.documents import as_comparable
from data_workbench.records.marks import STAMP_MODEL, STAMP_TEXT_HASH
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

VECTOR = "_wb_vector"
VECTOR_HASH = "_wb_vector_hash"
TEXT = "_wb_text"
SAME_DIRECTION = 0.9995
"""Cosine from which two embeddings of one text count as equal: float rounding stays above 0.999999."""
SAMPLE = 32
PAGE = 2_000

EXPECTED = pa.schema(
    [pa.field(TEXT, pa.string()), pa.field(STAMP_TEXT_HASH, pa.string()), pa.field(VECTOR, pa.list_(pa.float32()))]
)
ACTUAL = pa.schema(
    [
        pa.field(STAMP_MODEL, pa.string()),
        pa.field(STAMP_TEXT_HASH, pa.string()),
        pa.field(VECTOR_HASH, pa.string()),
        pa.field(VECTOR, pa.list_(pa.float32())),
    ]
)
EmbedTexts = Callable[[Sequence[str]], "NDArray[np.float32]"]


@dataclass(frozen=True)
class VectorVerdict:
    """Keys of points whose vector is not what it should be."""

    wrong_model: pa.Table
    stale: pa.Table


def hash_vectors(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Add the fingerprint of each vector as the store holds it."""
    for batch in batches:
        column = batch.column(VECTOR).cast(pa.list_(pa.float32()))
        hashes = pa.array([_digest(column[row].values) for row in range(len(column))], pa.string())
        yield batch.append_column(VECTOR_HASH, hashes)


def _digest(values: pa.Array | None) -> str | None:
    if values is None:
        return None
    return hashlib.blake2b(np.asarray(values, dtype="<f4").tobytes(), digest_size=16).hexdigest()


class VectorComparison:
    """Judges the vectors of an already filled Comparison whose sides carry EXPECTED and ACTUAL.

    Args:
        model: the model asked for; None where vectors come from a column.
        known: pages of fingerprints kept from earlier writes: key columns, vector hash, text hash, model.
        embed: embeds texts with the model asked for.
    """

    def __init__(
        self, comparison: Comparison, *, model: str | None, known: Iterable[pa.Table], embed: EmbedTexts | None
    ) -> None:
        self.comparison, self.model, self.embed = comparison, model, embed
        hashes = [pa.field(name, pa.string()) for name in (VECTOR_HASH, STAMP_TEXT_HASH, STAMP_MODEL)]
        nothing = pa.schema([*comparison.key_schema, *hashes]).empty_table()
        verb = "CREATE OR REPLACE TABLE known AS"
        for page in chain([nothing], known):
            comparison.connection.register("known_incoming", as_comparable(page))
            comparison.connection.execute(f"{verb} SELECT * FROM known_incoming")
            comparison.connection.unregister("known_incoming")
            verb = "INSERT INTO known"

    def judge(self) -> VectorVerdict:
        """Points expected and present whose model, text or vector is wrong."""
        if self.model is None:
            return VectorVerdict(self._none(), self._compare_columns())
        connection = self.comparison.connection
        wrong = self._table("a._wb_model IS DISTINCT FROM ?", [self.model])
        changed = self._table("a._wb_model = ? AND a._wb_text_hash IS DISTINCT FROM e._wb_text_hash", [self.model])
        stale = [changed, *self._embedded_again()]
        found = pa.concat_tables([self._none(), *stale])
        connection.execute("DROP TABLE IF EXISTS known")
        connection.register("stale_incoming", as_comparable(found))
        connection.execute("CREATE OR REPLACE TABLE stale_vectors AS SELECT * FROM stale_incoming")
        connection.unregister("stale_incoming")
        return VectorVerdict(wrong, found)

    def fresh(self) -> Iterator[pa.Table]:
        """Fingerprints to keep: key columns, vector hash, text hash and model of every point that agrees."""
        keys = ", ".join(f"a.{quoted(name)}" for name in self.comparison.key)
        same = " AND ".join(f"s.{quoted(name)} = a.{quoted(name)}" for name in self.comparison.key)
        sql = (
            f"SELECT {keys}, a._wb_vector_hash, a._wb_text_hash, a._wb_model FROM {self._pairs()} "
            f"ANTI JOIN stale_vectors s ON {same} WHERE a._wb_text_hash = e._wb_text_hash AND a._wb_model = ?"
        )
        reader = self.comparison.connection.sql(sql, params=[self.model]).to_arrow_reader(PAGE)
        for batch in reader:
            yield pa.Table.from_batches([batch])

    def _pairs(self) -> str:
        on = " AND ".join(f"e.{quoted(name)} = a.{quoted(name)}" for name in self.comparison.key)
        return f"(SELECT * FROM expected WHERE _wb_mark = 'u') e JOIN actual a ON {on}"

    def _table(self, condition: str, values: list[object]) -> pa.Table:
        keys = ", ".join(f"a.{quoted(name)}" for name in self.comparison.key)
        sql = f"SELECT {keys} FROM {self._pairs()} WHERE {condition}"
        return self.comparison.connection.sql(sql, params=values).to_arrow_table().cast(self.comparison.key_schema)

    def _none(self) -> pa.Table:
        return self.comparison.key_schema.empty_table()

    def _embedded_again(self) -> Iterator[pa.Table]:
        """Points whose vector is not what its text gives: all unknown or changed ones of a sample, and all changed."""
        keys = ", ".join(f"a.{quoted(name)}" for name in self.comparison.key)
        on = " AND ".join(f"k.{quoted(name)} = a.{quoted(name)}" for name in self.comparison.key)
        base = (
            f"SELECT {keys}, e._wb_text AS text, a._wb_vector AS vector, "
            "k._wb_vector_hash IS NOT NULL AND k._wb_vector_hash <> a._wb_vector_hash AS changed "
            f"FROM {self._pairs()} LEFT JOIN known k ON {on} AND k._wb_text_hash = a._wb_text_hash "
            "AND k._wb_model = a._wb_model WHERE a._wb_model = $model AND a._wb_text_hash = e._wb_text_hash"
        )
        sql = (
            f"WITH base AS ({base}) SELECT * FROM base WHERE changed OR vector IS NULL "
            f"UNION ALL (SELECT * FROM base WHERE NOT changed AND vector IS NOT NULL ORDER BY md5(text) LIMIT {SAMPLE})"
        )
        reader = self.comparison.connection.sql(sql, params={"model": self.model}).to_arrow_reader(PAGE)
        for batch in reader:
            if batch.num_rows == 0 or self.embed is None:
                continue
            made = self.embed([text or "" for text in batch.column("text").to_pylist()])
            differs = [not _agree(vector, made[row]) for row, vector in enumerate(batch.column("vector").to_pylist())]
            table = pa.Table.from_batches([batch]).filter(pa.array(differs, pa.bool_()))
            yield table.select(list(self.comparison.key)).cast(self.comparison.key_schema)

    def _compare_columns(self) -> pa.Table:
        """Vectors that came as a column, compared by direction: a cosine collection normalises what it stores."""
        return self._table(
            "a._wb_vector IS NULL OR len(a._wb_vector) <> len(e._wb_vector) "
            f"OR list_cosine_similarity(a._wb_vector, e._wb_vector) < {SAME_DIRECTION}",
            [],
        )


def _agree(stored: list[float] | None, made: NDArray[np.float32]) -> bool:
    if stored is None or len(stored) != len(made):
        return False
    vector = np.asarray(stored, dtype=np.float64)
    size = float(np.linalg.norm(vector) * np.linalg.norm(made))
    return size > 0 and float(vector @ made) / size >= SAME_DIRECTION
