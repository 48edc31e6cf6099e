"""The rows that stand in a file or folder, as keys and digests, so that a merge can tell new, changed and equal.

Rows themselves stay in their files; only a key and a digest per row go into a DuckDB database on disk, which bounds
the memory of a merge by DuckDB's limit and not by the table.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.mapping.text_values import to_text
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    import duckdb

    from data_workbench.connectors.operations import Operations
    from data_workbench.settings import Settings

OLD = -1
"""The origin of the pipeline's own rows that stood before this load; those of its parts have the part's number, rows
of other pipelines a number below."""


class Standing:
    """Keys of all current rows, with the digest of their values and where the row lies.

    Args:
        columns: the columns whose values make a row equal to another.
    """

    def __init__(self, key: tuple[str, ...], columns: list[str], settings: Settings) -> None:
        import duckdb

        self._key, self._columns = list(key), columns
        self.scratch = Path(tempfile.mkdtemp(prefix="workbench-merge-"))
        self._duckdb: duckdb.DuckDBPyConnection = duckdb.connect(
            str(self.scratch / "standing.duckdb"),
            config={
                "memory_limit": settings.duckdb_memory,
                "threads": str(settings.duckdb_threads),
                "temp_directory": str(self.scratch / "spill"),
            },
        )
        self._duckdb.execute("CREATE TABLE standing (key VARCHAR, digest VARCHAR, origin INTEGER)")
        self.changed = False
        self._loaded: dict[int, int] = {}

    def close(self) -> None:
        """Forget everything."""
        self._duckdb.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def load(self, batches: Iterator[pa.RecordBatch], origin: int) -> None:
        """Note rows that stand before this load."""
        for batch in batches:
            self._loaded[origin] = self._loaded.get(origin, 0) + batch.num_rows
            with self._known("batch", batch):
                self._duckdb.execute(f"INSERT INTO standing SELECT key, digest, {origin} FROM batch_keys")

    def is_untouched(self, origin: int) -> bool:
        """Whether all rows loaded from there still stand."""
        [(found,)] = self._duckdb.execute(f"SELECT count(*) FROM standing WHERE origin = {origin}").fetchall()
        return int(found) == self._loaded.get(origin, 0)

    def merge(self, asked: Operations, index: int) -> tuple[WriteCounts, pa.Table]:
        """Account one part against what stands; the rows of it that are new or changed."""
        counts = WriteCounts(out=asked.upserts.num_rows + asked.tombstones.num_rows)
        with self._known("upserts", asked.upserts):
            verdicts = self._duckdb.sql(
                "SELECT u.place, count(s.key) > 0 AS there, "
                f"coalesce(bool_and(s.digest = u.digest AND s.origin >= {OLD}), false) AS same "
                "FROM upserts_keys u LEFT JOIN standing s ON s.key = u.key GROUP BY u.place ORDER BY u.place"
            ).to_arrow_table()
            there, same = verdicts.column("there").to_pylist(), verdicts.column("same").to_pylist()
            counts.unchanged = sum(same)
            counts.updated = sum(there) - counts.unchanged
            counts.inserted = len(there) - sum(there)
            fresh = asked.upserts.filter(pa.array([not equal for equal in same], pa.bool_()))
            self._duckdb.execute(
                "DELETE FROM standing USING upserts_keys u WHERE standing.key = u.key "
                f"AND (standing.digest <> u.digest OR standing.origin < {OLD})"
            )
            self._duckdb.execute(
                f"INSERT INTO standing SELECT u.key, u.digest, {index} FROM upserts_keys u "
                "WHERE NOT EXISTS (SELECT 1 FROM standing s WHERE s.key = u.key)"
            )
        gone = self._delete(asked.tombstones)
        taken_back = self._delete(asked.retractions)
        counts.deleted = gone + taken_back
        counts.retracted = taken_back
        counts.unchanged += asked.tombstones.num_rows - gone
        self.changed |= counts.inserted + counts.updated + counts.deleted > 0
        return counts, fresh

    def delete(self, keys: pa.Table) -> int:
        """Take the pipeline's own keys away; how many stood."""
        gone = self._delete(keys)
        self.changed |= gone > 0
        return gone

    def current(self, batch: pa.RecordBatch, origin: int) -> pa.RecordBatch:
        """The rows of a batch from `origin` that still stand."""
        with self._known("batch", batch):
            places = self._duckdb.sql(
                f"SELECT place FROM batch_keys b WHERE EXISTS (SELECT 1 FROM standing s "
                f"WHERE s.key = b.key AND s.origin = {origin}) ORDER BY place"
            ).to_arrow_table()
        return batch if places.num_rows == batch.num_rows else batch.take(places.column("place").combine_chunks())

    def _delete(self, keys: pa.Table) -> int:
        if keys.num_rows == 0:
            return 0
        with self._known("gone", keys.select(self._key)):
            [(found,)] = self._duckdb.execute(
                f"SELECT count(DISTINCT s.key) FROM standing s SEMI JOIN gone_keys g ON s.key = g.key "
                f"WHERE s.origin >= {OLD}"
            ).fetchall()
            self._duckdb.execute(
                f"DELETE FROM standing USING gone_keys g WHERE standing.key = g.key AND standing.origin >= {OLD}"
            )
        return int(found)

    @contextmanager
    def _known(self, name: str, rows: pa.Table | pa.RecordBatch) -> Iterator[None]:
        """A temporary table NAME_keys (key, digest, place) of these rows."""
        names = [*self._key, *(column for column in self._columns if column in rows.schema.names)]
        places = [f"c{index}" for index in range(len(names))]
        texts = pa.table([to_text(rows.column(column)) for column in names], names=places)
        key = " || ".join(_tagged(place) for place in places[: len(self._key)])
        digest = " || ".join([*(_tagged(place) for place in places[len(self._key) :]), "''"])
        self._duckdb.register("incoming", texts.append_column("place", pa.array(range(len(texts)), pa.int64())))
        self._duckdb.execute(
            f"CREATE OR REPLACE TEMP TABLE {name}_keys AS "
            f"SELECT {key} AS key, md5({digest}) AS digest, place FROM incoming"
        )
        self._duckdb.unregister("incoming")
        try:
            yield
        finally:
            self._duckdb.execute(f"DROP TABLE {name}_keys")


def _tagged(place: str) -> str:
    """A text that two different values never share when put one after the other."""
    return f"coalesce(length({place}) || ':' || {place}, '~')"
