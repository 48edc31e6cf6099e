"""One pass over a stream that is read again: what a cursor says is new, or everything, held against what was seen last.

Several changes of a row between two passes are one here, and who made them is not known beyond what the row says.
The first pass only looks: it is what later ones are held against.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.errors import StoreBusy
from data_workbench.events import emit
from data_workbench.journal.watched import Found
from data_workbench.metastore import watches
from data_workbench.metastore.watches import Kept
from data_workbench.reconciliation.documents import as_comparable
from data_workbench.records.fingerprints import fingerprint_sql
from data_workbench.records.names import literal, quoted
from data_workbench.records.values import dumps, rows_of
from data_workbench.watching.noting import Notebook, differing

if TYPE_CHECKING:
    import duckdb

    from data_workbench.connectors.base import Source, Stream
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings

_PAGE: Final = 4_096
_LOW_BITS: Final = 2**63 - 1


@dataclass
class ComparingPass:
    """Reads one stream."""

    store: Metastore
    source: Source
    stream: Stream
    notebook: Notebook
    settings: Settings

    def run(self) -> None:
        """Tell what is new since the last pass.

        Raises:
            StoreBusy: another watcher is at it.
        """
        import duckdb

        began = datetime.now(UTC)
        with TemporaryDirectory(prefix="workbench-watch-") as folder:
            path = Path(folder)
            with duckdb.connect(str(path / "watch.duckdb")) as database:
                database.execute(f"SET memory_limit = {literal(self.settings.comparison_memory)}")
                database.execute(f"SET temp_directory = {literal(str(path / 'spill'))}")
                database.execute("SET TimeZone = 'UTC'")
                cursor = self._read(database)
                is_whole = self._read_keys(database)
                self._tell(database, began, cursor, is_whole=is_whole)

    # ------------------------------------------------------------------------------------------------------ reading

    @property
    def _names(self) -> list[str]:
        chosen = self.notebook.spec.columns
        return [name for name in self.stream.schema.names if chosen is None or name in (*chosen, *self._key)]

    @property
    def _key(self) -> Sequence[str]:
        return self.notebook.watch.key

    def _read(self, database: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
        """Rows that may be new, as key and hash; the cursor's position."""
        database.execute('CREATE TABLE read (key VARCHAR, hash BIGINT, "row" VARCHAR, actor VARCHAR)')
        spec, position = self.notebook.spec, self.notebook.watch.position or {}
        asked = None
        if spec.cursor is not None:
            asked = CursorRequest(spec.cursor.column, spec.cursor.lag, position.get("cursor"))
        reading = self.source.read(ReadRequest(self.stream.name, tuple(self._names), cursor=asked))
        try:
            for batch in reading:
                self._insert(database, batch)
        finally:
            reading.close()
        database.execute('CREATE TABLE now AS SELECT key, last(hash) AS hash, last("row") AS "row", '
                         "last(actor) AS actor FROM read GROUP BY key")  # fmt: skip
        return reading.position()

    def _insert(self, database: duckdb.DuckDBPyConnection, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        rows = as_comparable(pa.Table.from_batches([batch]))
        rows = rows.append_column("_wb_row", self._texts(batch)).append_column("_wb_actor", self._actors(batch))
        database.register("batch", rows)
        database.execute(
            f"INSERT INTO read SELECT {self._key_sql()}, {_hash_sql(rows.select(batch.schema.names).schema)},"
            " _wb_row, _wb_actor FROM batch"
        )
        database.unregister("batch")

    def _texts(self, batch: pa.RecordBatch) -> pa.Array:
        if not self.notebook.spec.values:
            return pa.nulls(batch.num_rows, pa.string())
        names = [item.name for item in batch.schema if not _is_vector(item.type)]
        return pa.array([self.notebook.shown(row) for row in rows_of(batch.select(names))], pa.string())

    def _actors(self, batch: pa.RecordBatch) -> pa.Array:
        name = self.notebook.spec.actor
        if name is None:
            return pa.nulls(batch.num_rows, pa.string())
        return pa.array([self.notebook.actor(row) for row in rows_of(batch.select([name]))], pa.string())

    def _key_sql(self) -> str:
        parts = ", ".join(f"{quoted(name)} := CAST({quoted(name)} AS VARCHAR)" for name in sorted(self._key))
        return f"CAST(to_json(struct_pack({parts})) AS VARCHAR)"

    def _read_keys(self, database: duckdb.DuckDBPyConnection) -> bool:
        """Keys of all rows, where a part was read; whether what is not among them is gone."""
        if self.notebook.spec.cursor is None:
            database.execute("CREATE VIEW keys AS SELECT key FROM now")
            return True
        if not self.notebook.spec.deletes:
            return False
        database.execute("CREATE TABLE keys (key VARCHAR)")
        reading = self.source.read(ReadRequest(self.stream.name, tuple(self._key)))
        try:
            for batch in reading:
                database.register("batch", as_comparable(pa.Table.from_batches([batch])))
                database.execute(f"INSERT INTO keys SELECT {self._key_sql()} FROM batch")
                database.unregister("batch")
        finally:
            reading.close()
        return True

    # ------------------------------------------------------------------------------------------------------ telling

    def _tell(
        self, database: duckdb.DuckDBPyConnection, began: datetime, cursor: dict[str, Any] | None, *, is_whole: bool
    ) -> None:
        watch, notebook = self.notebook.watch, self.notebook
        is_first = watch.checked is None
        with self.store.transaction() as session:
            # What another watcher read after this one, and told before it, would be told as undone.
            if not watches.hold(session, notebook.spec.address) or not watches.is_as(session, watch):
                raise StoreBusy(f"another watcher reads {notebook.spec.address}", hint="wait for it to end")
            database.execute("CREATE TABLE seen (key VARCHAR, hash BIGINT)")
            for page in watches.all_hashes(session, watch):
                rows = pa.table(
                    {"key": [key for key, _ in page], "hash": pa.array([one for _, one in page], pa.int64())}
                )
                database.register("page", rows)
                database.execute("INSERT INTO seen SELECT key, hash FROM page")
                database.unregister("page")
            when = {"at": datetime.now(UTC).isoformat(), "since": (watch.position or {}).get("read")}
            for rows in _pages(database, _NEW):
                self._note_new(session, rows, when, is_told=not is_first)
            for rows in _pages(database, _GONE) if is_whole else ():
                self._note_gone(session, rows, when)
            notebook.flush(session)
            watches.move(session, watch, {"cursor": cursor, "read": began.isoformat()}, notebook.found)
            emit("watch.before_commit", connection=watch.connection)
        emit("watch.after_commit", connection=watch.connection)

    def _note_new(self, session: Any, rows: list[Any], when: Mapping[str, Any], *, is_told: bool) -> None:
        notebook = self.notebook
        known = watches.kept_rows(session, notebook.watch, [row[0] for row in rows]) if is_told else {}
        now: dict[str, Kept | None] = {}
        for key, before, after, text, actor in rows:
            row = json.loads(text) if text else None
            now[key] = Kept(after, row)
            if not is_told:
                continue
            kept = known[key].row if key in known else None
            found = Found(
                "insert" if before is None else "update",
                hash_before=before,
                hash_after=after,
                row_before=dumps(kept) if kept is not None else None,
                row_after=text,
                changed=differing(kept, row, notebook.hidden) if kept is not None and row is not None else None,
                actor=actor,
                **when,
            )
            notebook.change(session, json.loads(key), found)
        watches.keep_rows(session, notebook.watch, now)

    def _note_gone(self, session: Any, rows: list[Any], when: Mapping[str, Any]) -> None:
        known = watches.kept_rows(session, self.notebook.watch, [row[0] for row in rows])
        for key, before in rows:
            kept = known[key].row if key in known else None
            text = dumps(kept) if kept is not None else None
            found = Found("delete", hash_before=before, row_before=text, **when)
            self.notebook.change(session, json.loads(key), found)
        watches.keep_rows(session, self.notebook.watch, dict.fromkeys(row[0] for row in rows))


_NEW: Final = (
    'SELECT n.key, s.hash, n.hash, n."row", n.actor FROM now n LEFT JOIN seen s USING (key)'
    " WHERE s.hash IS DISTINCT FROM n.hash ORDER BY n.key"
)
_GONE: Final = "SELECT s.key, s.hash FROM seen s ANTI JOIN keys USING (key) ORDER BY s.key"


def _pages(database: duckdb.DuckDBPyConnection, query: str) -> Iterator[list[Any]]:
    found = database.cursor().execute(query)
    while rows := found.fetchmany(_PAGE):
        yield rows


def _hash_sql(schema: pa.Schema) -> str:
    """Of all values that are there, by name: a column that comes without values changes nothing."""
    parts = [
        f"CASE WHEN {quoted(item.name)} IS NULL THEN '' ELSE {literal(item.name + '=')} || "
        f"{fingerprint_sql(pa.schema([item]))} END"
        for item in sorted(schema, key=lambda one: one.name)
    ]
    return f"CAST(md5_number(concat({', '.join(parts)})) & {_LOW_BITS}::UHUGEINT AS BIGINT)"


def _is_vector(kind: pa.DataType) -> bool:
    return hasattr(kind, "value_type") and pa.types.is_floating(kind.value_type)
