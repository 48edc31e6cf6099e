"""Which keys are missing, surplus, stale or foreign, by comparing values read back from a store.

Both sides go into one DuckDB file as key columns and a fingerprint of the values; a full outer join tells the rest,
a share of the keys at a time. Memory is bounded by DuckDB's limit, it spills to the folder it is given. No stamp in
the store is believed: a stamp only says who wrote a row, never what is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from data_workbench.reconciliation.documents import as_comparable, comparable, conform
from data_workbench.records.ahead import one_ahead
from data_workbench.records.fingerprints import fingerprint_number_sql
from data_workbench.records.marks import HELD, OP, OWNED, RETRACTION, TOMBSTONE, UPSERT
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    import duckdb

    from data_workbench.settings import Settings

BATCH = 16_384
_INSERTED_AT_ONCE = 65_536
"""Rows of one INSERT, in batches enough for two threads to share."""
_BYTES_AT_ONCE = 16 * 1024**2
_JOINED_AT_ONCE = 400_000
"""Rows of a side whose join stays within the limit: one of 10 million 32-letter keys at once needs 256 MB."""
_DATABASE = "comparison.duckdb"
_LOW_BITS = 2**63 - 1
_NOTED_AT_ONCE = 65_536


class Comparison:
    """One target compared: `expect` what shall be there, `observe` what is, then ask.

    Args:
        schema: columns compared, keys among them.
        key: columns that identify a row; () compares whole rows as a bag.
        folder: where DuckDB may spill; removed by the caller.
        repeats: a key may stand there several times, as appended by several runs: one row as expected is enough.
        carry_expected, carry_actual: further columns of a side to keep beside the fingerprint (vectors, hashes).
    """

    def __init__(
        self,
        schema: pa.Schema,
        key: tuple[str, ...],
        folder: Path,
        settings: Settings,
        *,
        carry_expected: pa.Schema | None = None,
        carry_actual: pa.Schema | None = None,
        repeats: bool = False,
    ) -> None:
        import duckdb

        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.glob(f"{_DATABASE}*"):  # by a process that was killed in the middle, with its log
            left.unlink()
        self.schema = schema
        self.carry = {"expected": carry_expected or pa.schema([]), "actual": carry_actual or pa.schema([])}
        self.key = key
        self.repeats = repeats
        # Vectors and texts go through joins of their own, which are not cut into shares.
        carries = carry_expected is not None
        self.connection: duckdb.DuckDBPyConnection = duckdb.connect(
            str(folder / _DATABASE),
            config={
                "memory_limit": settings.duckdb_memory if carries else settings.comparison_memory,
                "threads": settings.duckdb_threads,
                "temp_directory": str(folder / "spill"),
                "preserve_insertion_order": False,
            },
        )
        self.connection.execute("SET TimeZone = 'UTC'")
        self._made: set[str] = set()

    def expect(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Rows the store shall hold; marks.OP may say tombstone, retraction (must not be there) or held."""
        self._insert("expected", batches, OP, UPSERT)

    def observe(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Rows as read back, with marks.OWNED."""
        self._insert("actual", batches, OWNED, True)

    def hold(self, keys: pa.Table) -> None:
        """Rows of these keys keep whatever state they have: they are held, on both sides.

        Args:
            keys: columns that both sides have beside their fingerprints, all of the key or a part of it.
        """
        if keys.num_rows == 0:
            return
        self._fill()
        names = keys.column_names
        wanted = pa.schema([self.schema.field(name) for name in names])
        self.connection.register("incoming", as_comparable(keys.cast(wanted)))
        self.connection.execute("CREATE OR REPLACE TEMP TABLE holding AS SELECT DISTINCT * FROM incoming")
        self.connection.unregister("incoming")
        same = " AND ".join(f"t.{quoted(name)} = h.{quoted(name)}" for name in names)
        self.connection.execute(f"UPDATE expected t SET _wb_mark = '{HELD}' FROM holding h WHERE {same}")
        if set(names) != set(self.key):
            self.connection.execute(f"DELETE FROM actual t USING holding h WHERE t._wb_mark AND {same}")
            return
        listed = ", ".join(map(quoted, names))
        self.connection.execute(
            f"INSERT INTO expected ({listed}, _wb_mark) SELECT {listed}, '{HELD}' FROM holding h "
            f"WHERE NOT EXISTS (FROM expected t WHERE {same})"
        )

    def claim(self, keys: Iterable[pa.Table]) -> None:
        """Of rows that have these values in a part of the key, nothing but what is expected may stand."""
        self._join()
        for page in keys:
            self.connection.register("incoming", as_comparable(page))
            same = " AND ".join(f"v.{quoted(name)} = i.{quoted(name)}" for name in page.column_names)
            self.connection.execute(
                f"UPDATE verdicts v SET verdict = 'surplus' FROM (SELECT DISTINCT * FROM incoming) i "
                f"WHERE v.verdict = 'unknown' AND {same}"
            )
            self.connection.unregister("incoming")

    def counts(self) -> dict[str, int]:
        """`missing`, `surplus`, `stale`, `foreign`, `held` and `equal`; `unknown` ones are surplus, too."""
        self._join()
        rows = self.connection.execute("SELECT verdict, count(*) FROM verdicts GROUP BY verdict").fetchall()
        found = {verdict: int(count) for verdict, count in rows}
        found["surplus"] = found.get("surplus", 0) + found.get("unknown", 0)
        return {name: found.get(name, 0) for name in ("missing", "surplus", "stale", "foreign", "held", "equal")}

    def keys(self, verdict: str) -> Iterator[pa.Table]:
        """Keys with that verdict, in pages: `surplus` said to be gone, `unknown` never heard of."""
        self._join()
        columns = ", ".join(quoted(name) for name in self.key)
        sql = f"SELECT {columns} FROM verdicts WHERE verdict = ?"
        reader = self.connection.sql(sql, params=[verdict]).to_arrow_reader(BATCH)
        for batch in reader:
            if batch.num_rows:
                yield pa.Table.from_batches([batch]).cast(self.key_schema)

    def standing_as_expected(self) -> Iterator[pa.Table]:
        """Keys whose row was read back as it was expected, in pages, with the row's hash as `_wb_after`.

        The hash is the low 63 bits of the fingerprint. Keys that are held or gone are not among them.
        """
        self._join()
        columns = ", ".join(f"e.{quoted(name)}" for name in self.key)
        same = " AND ".join(f"v.{quoted(name)} = e.{quoted(name)}" for name in self.key)
        wrong = "v.verdict IN ('missing', 'stale', 'held')"
        sql = (
            f"SELECT {columns}, CAST(e._wb_hash & {_LOW_BITS}::UHUGEINT AS BIGINT) AS _wb_after FROM expected e "
            f"WHERE e._wb_mark = '{UPSERT}' AND NOT EXISTS (FROM verdicts v WHERE {wrong} AND {same})"
        )
        pages: list[pa.RecordBatch] = []
        for batch in self.connection.sql(sql).to_arrow_reader(_NOTED_AT_ONCE):
            pages.append(batch)
            if sum(page.num_rows for page in pages) >= _NOTED_AT_ONCE:
                yield pa.Table.from_batches(pages)
                pages = []
        if any(page.num_rows for page in pages):
            yield pa.Table.from_batches(pages)

    @contextmanager
    def standing(self, name: str) -> Iterator[pa.Schema]:
        """What was read back and is the pipeline's, as a view of that name: key and carried columns; not what is held.

        Gives the view's columns.
        """
        self._fill()
        carried = self.carry["actual"]
        named = {item.name: item for item in (*self.key_schema, *carried)}
        columns = ", ".join(f"a.{quoted(column)}" for column in named) or "NULL AS _wb_none"
        same = " AND ".join(f"a.{quoted(one)} = e.{quoted(one)}" for one in self.key)
        held = f" AND NOT EXISTS (FROM expected e WHERE e._wb_mark = '{HELD}' AND {same})" if self.key else ""
        self.connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM actual a WHERE a._wb_mark{held}")
        try:
            yield comparable(pa.schema(list(named.values())))
        finally:
            self.connection.execute(f"DROP VIEW {name}")

    @property
    def key_schema(self) -> pa.Schema:
        """The key columns' schema."""
        return pa.schema([self.schema.field(name) for name in self.key])

    def close(self) -> None:
        """Give the file back."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _insert(self, side: str, batches: Iterable[pa.RecordBatch], mark: str, default: object) -> None:
        carried = self.carry[side]
        columns = [*self.key, *(name for name in carried.names if name not in self.key)]
        listed = ", ".join(quoted(name) for name in columns) or "NULL AS _wb_none"
        # A tombstone carries only its key, so its fingerprint means nothing; it is never compared.
        select = f"SELECT {listed}, {quoted(mark)} AS _wb_mark, {_fingerprint(self.schema)} AS _wb_hash FROM incoming"
        wanted = pa.schema([*self.schema, *(item for item in carried if item.name not in self.schema.names)])
        ready = (conform(batch, wanted, mark, default) for batch in merged(batches, _INSERTED_AT_ONCE))
        with closing(one_ahead(ready, name="compare, next rows")) as coming:
            for incoming in coming:
                self.connection.register("incoming", incoming)
                if side not in self._made:
                    self.connection.execute(f"CREATE TABLE {side} AS {select}")
                    self._made.add(side)
                else:
                    self.connection.execute(f"INSERT INTO {side} {select}")
                self.connection.unregister("incoming")
        if side not in self._made:
            empty = conform(pa.RecordBatch.from_pylist([], schema=wanted), wanted, mark, default)
            self.connection.register("incoming", empty)
            self.connection.execute(f"CREATE TABLE {side} AS {select}")
            self.connection.unregister("incoming")
            self._made.add(side)

    def _join(self) -> None:
        if "verdicts" in self._made:
            return
        self._fill()
        join = self._join_by_key() if self.key else self._join_as_bags()
        share = ", ".join(map(quoted, self.key)) if self.key else "_wb_hash"
        verb = "CREATE OR REPLACE TABLE verdicts AS"
        shares = self._shares()
        for number in range(shares):
            for side in ("expected", "actual"):
                condition = f"WHERE hash({share}) % {shares} = {number}" if shares > 1 else ""
                self.connection.execute(f"CREATE OR REPLACE TEMP VIEW some_{side} AS SELECT * FROM {side} {condition}")
            self.connection.execute(f"{verb} {join}")
            verb = "INSERT INTO verdicts"
        self._made.add("verdicts")

    def _shares(self) -> int:
        row = self.connection.execute(
            "SELECT greatest((SELECT count(*) FROM expected), (SELECT count(*) FROM actual))"
        ).fetchone()
        assert row is not None
        return 1 + int(row[0]) // _JOINED_AT_ONCE

    def _fill(self) -> None:
        """A side that brought no rows is an empty table."""
        for side, mark, default in (("expected", OP, UPSERT), ("actual", OWNED, True)):
            if side not in self._made:
                self._insert(side, [], mark, default)

    def _join_by_key(self) -> str:
        on = " AND ".join(f"e.{quoted(name)} = a.{quoted(name)}" for name in self.key)
        keys = ", ".join(f"coalesce(e.{quoted(name)}, a.{quoted(name)}) AS {quoted(name)}" for name in self.key)
        gone = f"('{TOMBSTONE}', '{RETRACTION}')"
        listed = ", ".join(map(quoted, self.key))
        actual, same = "some_actual", "e._wb_hash = a._wb_hash"
        if self.repeats:
            hashes = "bool_or(_wb_mark) AS _wb_mark, list(_wb_hash) AS hashes"
            actual = f"(SELECT {listed}, {hashes} FROM some_actual GROUP BY ALL)"
            same = "list_contains(a.hashes, e._wb_hash)"
        return f"""
            SELECT {keys}, CASE
                WHEN e._wb_mark = '{HELD}' THEN 'held'
                WHEN e._wb_mark IS NULL THEN CASE WHEN a._wb_mark THEN 'unknown' ELSE 'foreign' END
                WHEN e._wb_mark IN {gone} THEN
                    CASE WHEN a._wb_mark IS NULL THEN 'equal' WHEN a._wb_mark THEN 'surplus' ELSE 'foreign' END
                WHEN a._wb_mark IS NULL THEN 'missing'
                WHEN {same} THEN 'equal' ELSE 'stale' END AS verdict
            FROM (
                SELECT * FROM some_expected
                QUALIFY row_number() OVER (PARTITION BY {listed}
                    ORDER BY CASE _wb_mark WHEN '{UPSERT}' THEN 0 WHEN '{HELD}' THEN 1 ELSE 2 END) = 1
            ) e FULL OUTER JOIN {actual} a ON {on}"""

    def _join_as_bags(self) -> str:
        """Without a key, rows are equal or not; how many of each kind are too few or too many."""
        return f"""
            SELECT CASE WHEN difference > 0 THEN 'missing' ELSE 'surplus' END AS verdict
            FROM (
                SELECT coalesce(e.n, 0) - coalesce(a.n, 0) AS difference
                FROM (SELECT _wb_hash, count(*) AS n FROM some_expected WHERE _wb_mark = '{UPSERT}' GROUP BY 1) e
                FULL OUTER JOIN (SELECT _wb_hash, count(*) AS n FROM some_actual WHERE _wb_mark GROUP BY 1) a
                    USING (_wb_hash)
            ), range(abs(difference)) WHERE difference <> 0
            UNION ALL SELECT 'foreign' FROM some_actual WHERE NOT _wb_mark"""


def _fingerprint(schema: pa.Schema) -> str:
    return fingerprint_number_sql(comparable(schema))


def merged(batches: Iterable[pa.RecordBatch], rows: int = BATCH) -> Iterator[pa.Table]:
    """Small batches put together, up to so many rows or 16 MB: each question and INSERT has a fixed cost."""
    held: list[pa.RecordBatch] = []
    count = size = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        held.append(batch)
        count, size = count + batch.num_rows, size + batch.nbytes
        if count >= rows or size >= _BYTES_AT_ONCE:
            yield pa.Table.from_batches(held)
            held, count, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)
