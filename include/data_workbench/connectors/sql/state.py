"""The workbench's own tables in a database it writes, and what stands in them.

_workbench_checkpoints   how far each load of each run has come, committed with the part it describes
_workbench_rejections    rows the database refused, committed likewise, so that a restart still knows them
_workbench_tables        which tables the workbench created, with their columns' types; only those are altered
_workbench_owned_keys    64-bit hashes of the keys each pipeline wrote, a row a part: 8 bytes a key
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from data_workbench.connectors.base import Progress, Rejection
from data_workbench.connectors.sql.dialect import Session
from data_workbench.errors import StreamUnknown
from data_workbench.mapping.targets import LoadContext, TableTarget
from data_workbench.records.accounting import WriteCounts
from data_workbench.records.fingerprints import fingerprint_sql
from data_workbench.records.key_sets import contains, united, without

_KEPT = timedelta(days=90)
_CHUNKS_KEPT = 64
_LOAD = ("pipeline", "destination", "target", "run_id")


def ensure(session: Session) -> None:
    """Create the tables that are missing."""
    name, text, blob = session.dialect.name_type, session.dialect.text, session.dialect.blob
    load = ", ".join(f"{column} {name} NOT NULL" for column in _LOAD)
    owner = ", ".join(f"{column} {name} NOT NULL" for column in ("pipeline", "destination", "table_name"))
    tables = {
        "checkpoints": f"{load}, parts BIGINT NOT NULL, counts {text} NOT NULL, finished BIGINT NOT NULL, "
        f"updated_at {name} NOT NULL, PRIMARY KEY ({', '.join(_LOAD)})",
        "rejections": f"{load}, part BIGINT NOT NULL, record {text} NOT NULL",
        "tables": f"table_name {name} NOT NULL PRIMARY KEY, pipeline {name} NOT NULL, columns_json {text} NOT NULL",
        "owned_keys": f"{owner}, chunk BIGINT NOT NULL, gone BIGINT NOT NULL, hashes {blob} NOT NULL",
    }
    for table, columns in tables.items():
        session.say(f"CREATE TABLE IF NOT EXISTS _workbench_{table} ({columns})")


def exists(session: Session) -> bool:
    """Whether the tables are there."""
    try:
        session.ask("SELECT count(*) FROM _workbench_tables")
    except StreamUnknown:
        return False
    return True


@dataclass(frozen=True)
class Checkpoint:
    """The progress of one target in one run."""

    context: LoadContext
    target: TableTarget

    @property
    def _key(self) -> tuple[str, ...]:
        context = self.context
        return context.pipeline, context.destination, f"{context.target_index}:{self.target.table}", context.run_id

    def load(self, session: Session) -> tuple[Progress, list[Rejection]]:
        """How far this run has come, and what was refused so far."""
        where = " AND ".join(f"{column} = ?" for column in _LOAD)
        query = f"SELECT parts, counts, finished FROM _workbench_checkpoints WHERE {where}"
        found = session.ask(query, *self._key)
        if not found:
            return Progress(), []
        parts, counts, finished = found[0]
        records = session.ask(f"SELECT record FROM _workbench_rejections WHERE {where} ORDER BY part", *self._key)
        progress = Progress(int(parts), WriteCounts.from_dict(json.loads(counts)), finished=bool(int(finished)))
        return progress, [Rejection(**json.loads(record)) for (record,) in records]

    def save(self, session: Session, progress: Progress, part: int, rejected: Sequence[Rejection] = ()) -> None:
        """Note progress and refused rows, in the transaction of what they describe."""
        where = " AND ".join(f"{column} = ?" for column in _LOAD)
        session.say(f"DELETE FROM _workbench_checkpoints WHERE {where}", *self._key)
        counts, now = json.dumps(progress.counts.as_dict()), datetime.now(UTC).isoformat()
        statement = "INSERT INTO _workbench_checkpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        session.say(statement, *self._key, progress.parts, counts, int(progress.finished), now)
        for one in rejected:
            record = json.dumps({"key": dict(one.key), "rule": one.rule, "reason": one.reason}, default=str)
            session.say("INSERT INTO _workbench_rejections VALUES (?, ?, ?, ?, ?, ?)", *self._key, part, record)

    def forget_old(self, session: Session) -> None:
        """Drop what belongs to runs too old to be restarted."""
        before = (datetime.now(UTC) - _KEPT).isoformat()
        query = "SELECT run_id FROM _workbench_checkpoints WHERE pipeline = ? AND updated_at < ?"
        for (run,) in session.ask(query, self.context.pipeline, before):
            for table in ("_workbench_checkpoints", "_workbench_rejections"):
                session.say(f"DELETE FROM {table} WHERE pipeline = ? AND run_id = ?", self.context.pipeline, run)


def created_columns(session: Session, table: str) -> dict[str, str] | None:
    """Columns and their types of a table the workbench made; None for a table of others."""
    found = session.ask("SELECT columns_json FROM _workbench_tables WHERE table_name = ?", table)
    return dict(json.loads(found[0][0])) if found else None


def note_created(session: Session, table: str, pipeline: str, columns: Mapping[str, str]) -> None:
    """Note that a table is ours."""
    session.say("DELETE FROM _workbench_tables WHERE table_name = ?", table)
    session.say("INSERT INTO _workbench_tables VALUES (?, ?, ?)", table, pipeline, json.dumps(dict(columns)))


@dataclass
class Ownership:
    """The keys of one table that one pipeline's destination wrote."""

    context: LoadContext
    table: str
    key: tuple[str, ...]
    _known: np.ndarray = field(default_factory=lambda: np.array([], np.uint64))
    _read_to: int = 0

    @property
    def _owner(self) -> tuple[str, str, str]:
        return self.context.pipeline, self.context.destination, self.table

    def add(self, session: Session, rows: pa.Table, *, gone: bool = False) -> None:
        """Own (or give up) the keys of these rows."""
        if self.key and rows.num_rows:
            self._insert(session, hashes_of(rows, self.key), gone=gone)

    def _insert(self, session: Session, hashes: np.ndarray, *, gone: bool) -> None:
        where = "pipeline = ? AND destination = ? AND table_name = ?"
        last = session.ask(f"SELECT max(chunk) FROM _workbench_owned_keys WHERE {where}", *self._owner)[0][0]
        statement = "INSERT INTO _workbench_owned_keys VALUES (?, ?, ?, ?, ?, ?)"
        session.say(statement, *self._owner, int(last or 0) + 1, int(gone), hashes.astype(">u8").tobytes())

    def forget(self, session: Session) -> None:
        """Own nothing."""
        where = "pipeline = ? AND destination = ? AND table_name = ?"
        session.say(f"DELETE FROM _workbench_owned_keys WHERE {where}", *self._owner)
        self._known, self._read_to = np.array([], np.uint64), 0

    def are_owned(self, rows: pa.Table | pa.RecordBatch) -> pa.Array:
        """Which of these rows are owned, as last learnt; every row of a target without a key."""
        if not self.key:
            return pa.array(np.ones(rows.num_rows, bool))
        return pa.array(contains(self._known, hashes_of(rows, self.key)))

    def learn(self, session: Session) -> np.ndarray:
        """Read what was written since it was last learnt; nothing where no load has been."""
        if not exists(session):
            return self._known
        query = """SELECT chunk, gone, hashes FROM _workbench_owned_keys
                   WHERE pipeline = ? AND destination = ? AND table_name = ? AND chunk > ? ORDER BY chunk"""
        for chunk, gone, hashes in session.ask(query, *self._owner, self._read_to):
            some = np.frombuffer(hashes, ">u8").astype(np.uint64)
            combine = without if int(gone) else united
            self._known, self._read_to = combine(self._known, some), int(chunk)
        return self._known

    def compact(self, session: Session) -> None:
        """Fold many small chunks into one, now and then."""
        where = "pipeline = ? AND destination = ? AND table_name = ?"
        found = session.ask(f"SELECT count(*) FROM _workbench_owned_keys WHERE {where}", *self._owner)
        if int(found[0][0]) > _CHUNKS_KEPT:
            known = self.learn(session)
            self.forget(session)
            self._insert(session, known, gone=False)


def hashes_of(rows: pa.Table | pa.RecordBatch, key: Sequence[str]) -> np.ndarray:
    """The first 64 bits of each key's fingerprint, which does not hang on how a database keeps a type."""
    import duckdb

    keys = pa.table([rows.column(name) for name in key], names=list(key))
    with duckdb.connect() as connection:
        connection.register("keys", keys)
        query = f"SELECT CAST('0x' || left({fingerprint_sql(keys.schema)}, 16) AS UBIGINT) AS hash FROM keys"
        found = connection.sql(query).to_arrow_table()
    return np.asarray(found.column("hash").to_numpy(), np.uint64)
