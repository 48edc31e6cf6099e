"""Which rows a pipeline wrote: an append-only list of 64-bit hashes of keys per pipeline, destination and table.

A part adds one row to `_workbench.owned_keys`, in its own transaction: the concatenated `int8send(hash)` of the keys it
upserted, unchanged ones too (a row that stood there already and is matched by key is adopted). Deleted keys are
noted as gone. The server computes every hash, from the key as the table's column types write it, so nothing hangs
on how another language prints a value. Costs 8 bytes a row; a membership test loads a pipeline's set (8 MB per
million rows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import psycopg
import pyarrow as pa

from data_workbench.connectors.postgres import checkpoints
from data_workbench.connectors.postgres.names import Relation, quoted
from data_workbench.records.key_sets import Hashes, contains, united, without

_CHUNKS_KEPT = 64
_PAGES_AT_ONCE = 16_384
_HASHES_A_CHUNK = 1_000_000


def key_hash(key: Sequence[str], alias: str = "") -> str:
    """The SQL of a row's key hash."""
    prefix = f"{alias}." if alias else ""
    texts = [f"{prefix}{quoted(name)}::text" for name in key]
    whole = texts[0] if len(texts) == 1 else f"ROW({', '.join(texts)})::text"
    return f'pg_catalog.hashtextextended(({whole}) COLLATE pg_catalog."C", 0)'


@dataclass
class Ownership:
    """The rows of one table that one pipeline's destination owns."""

    pipeline: str
    destination: str
    relation: Relation
    key: tuple[str, ...]
    _known: np.ndarray = field(default_factory=lambda: np.array([], np.int64))
    _read_from: int | None = None
    _read_to: int = 0

    @property
    def _owner(self) -> tuple[str, str, str]:
        return self.pipeline, self.destination, self.relation.sql

    def add(self, connection: psycopg.Connection, table: str, where: str = "true", *, gone: bool = False) -> int:
        """Own (or give up) the keys standing in `table`; how many."""
        if not self.key:
            return 0
        row = connection.execute(
            f"""INSERT INTO _workbench.owned_keys (pipeline, destination, table_name, gone, amount, hashes)
                SELECT %s, %s, %s, %s, n, h FROM (
                    SELECT count(*) AS n, string_agg(pg_catalog.int8send({key_hash(self.key)}), ''::bytea) AS h
                    FROM {table} WHERE {where}) AS hashed
                WHERE n > 0 RETURNING amount""",
            (*self._owner, gone),
        ).fetchone()
        return int(row[0]) if row else 0

    def add_hashes(self, connection: psycopg.Connection, hashes: np.ndarray, *, gone: bool = False) -> None:
        """Own (or give up) keys by hash."""
        for start in range(0, len(hashes), _HASHES_A_CHUNK):
            chunk = hashes[start : start + _HASHES_A_CHUNK]
            connection.execute(
                """INSERT INTO _workbench.owned_keys (pipeline, destination, table_name, gone, amount, hashes)
                   VALUES (%s, %s, %s, %s, %s, %s)""",
                (*self._owner, gone, len(chunk), chunk.astype(">i8").tobytes()),
            )

    def add_all(self, connection: psycopg.Connection, *, afresh: bool) -> None:
        """Own every row of the table, a range of pages at a time; `afresh` forgets what was owned before."""
        if afresh:
            self.forget(connection)
        if not self.key:
            return
        for first, last in page_ranges(connection, self.relation):
            self.add(connection, self.relation.sql, f"ctid >= '({first},0)'::tid AND ctid < '({last},0)'::tid")

    def forget(self, connection: psycopg.Connection) -> None:
        """Own nothing."""
        connection.execute(
            "DELETE FROM _workbench.owned_keys WHERE pipeline = %s AND destination = %s AND table_name = %s",
            self._owner,
        )
        self._known, self._read_from, self._read_to = np.array([], np.int64), None, 0

    def owned(self, connection: psycopg.Connection) -> np.ndarray:
        """The sorted hashes, as far as committed or written by this transaction; only what is new is read."""
        if not checkpoints.exists(connection):
            return self._known
        self._start_again_if_rewritten(connection)
        with psycopg.Cursor(connection) as cursor:  # the connection's own cursors bind on the client, in text
            cursor.execute(
                """SELECT id, gone, hashes FROM _workbench.owned_keys
                   WHERE pipeline = %s AND destination = %s AND table_name = %s AND id > %s ORDER BY id""",
                (*self._owner, self._read_to),
                binary=True,
            )
            added: list[np.ndarray] = []
            for number, gone, hashes in cursor:
                self._read_to = number
                chunk = np.frombuffer(hashes, ">i8").astype(np.int64)
                if gone:
                    self._known = without(united(self._known, *added), chunk)
                    added = []
                else:
                    added.append(chunk)
        if added:
            self._known = united(self._known, *added)
        return self._known

    def _start_again_if_rewritten(self, connection: psycopg.Connection) -> None:
        """Chunks are only ever added, unless another writer folded or forgot them: then the first one is another."""
        row = connection.execute(
            """SELECT min(id) FROM _workbench.owned_keys
               WHERE pipeline = %s AND destination = %s AND table_name = %s""",
            self._owner,
        ).fetchone()
        first = row[0] if row else None
        if first != self._read_from:
            self._known, self._read_from, self._read_to = np.array([], np.int64), first, 0

    def are_owned(self, connection: psycopg.Connection, hashes: pa.Array) -> pa.Array:
        """Which of these hashes are owned."""
        return among(self.owned(connection), hashes)

    def compact(self, connection: psycopg.Connection) -> None:
        """Fold many small chunks into few, now and then."""
        row = connection.execute(
            """SELECT count(*) FROM _workbench.owned_keys
               WHERE pipeline = %s AND destination = %s AND table_name = %s""",
            self._owner,
        ).fetchone()
        if row is None or row[0] <= _CHUNKS_KEPT + len(self._known) // _HASHES_A_CHUNK:
            return
        known = self.owned(connection)
        self.forget(connection)
        self.add_hashes(connection, known)


def among(known: Hashes, hashes: pa.Array) -> pa.Array:
    """Which of the hashes are in a sorted list."""
    return pa.array(contains(known, hashes.to_numpy(zero_copy_only=False)))


def page_ranges(connection: psycopg.Connection, relation: Relation) -> list[tuple[int, int]]:
    """Ranges of pages that cover a table."""
    pages = pages_of(connection, relation) + 1
    return [(first, first + _PAGES_AT_ONCE) for first in range(0, pages, _PAGES_AT_ONCE)]


def pages_of(connection: psycopg.Connection, relation: Relation) -> int:
    """How long a table is; of a partitioned one its longest partition, since all are scanned by page."""
    # The tree of a table that is neither partition nor partitioned has no row at all.
    row = connection.execute(
        """SELECT greatest(pg_catalog.pg_relation_size(%s::regclass),
                           (SELECT max(pg_catalog.pg_relation_size(relid))
                            FROM pg_catalog.pg_partition_tree(%s::regclass)))
                  / pg_catalog.current_setting('block_size')::int8""",
        (relation.sql, relation.sql),
    ).fetchone()
    return int(row[0]) if row else 0
