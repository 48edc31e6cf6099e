"""Asking the journal: what happened to a key, and which keys of a dataset were touched in a span of time.

    journal = Journal(metastore)
    journal.changes("odras_neo4j", "(Requirement)", {"requirement_id": "…"})    # oldest first
    journal.touched("odras_qdrant", "requirements", since=then, until=now)      # keys, and what was last done to each
    journal.datasets(since=then, until=now)                                     # where anything was written at all

A hash is the low 63 bits of the row's fingerprint (`records.fingerprints`) over the columns a comparison looks at:
equal hashes of one dataset are equal rows. It is known once the run has compared what it loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.journal.content import AFTER, ROW, decode
from data_workbench.metastore import journal
from data_workbench.metastore.journal import Cause, Entry
from data_workbench.records.marks import OP, UPSERT
from data_workbench.records.values import rows_of, table_of

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore

_WRITING: tuple[Cause, ...] = ("load", "repair", "delete")
_ORDER = "_wb_order"


@dataclass(frozen=True)
class Change:
    """What one entry did to one key.

    `operation` is one of records.marks: upsert, tombstone, retraction. `before` is the hash that the workbench had
    left there, None if it is not known to have written the key before; whatever others did in between it does not
    know. `after` is None for a key that was deleted, or that no comparison has found as it was written. `row` and
    `row_before` are what was written, of a pipeline that has values noted: None where they were not.
    """

    entry: Entry
    key: Mapping[str, Any]
    operation: str
    before: int | None
    after: int | None
    row: Mapping[str, Any] | None = None
    row_before: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Keys:
    """Keys of one dataset that were touched.

    Args:
        last: the key columns, records.marks.OP of the last change, `_wb_after` where it is known.
        whole: entries that wrote without noting keys; what they touched is not in `last`.
    """

    last: pa.Table
    whole: Sequence[Entry]


@dataclass(frozen=True)
class Journal:
    """Reads the journal of a metastore."""

    metastore: Metastore

    def standing(self, connection: str, dataset: str, *, after: int) -> pa.Table | None:
        """Keys that comparisons after a position found as they should be, with their hashes; None if there was none."""
        found = journal.entries(self.metastore, connection=connection, dataset=dataset, causes=["compare"], after=after)
        pages = [rows for _, rows in self._opened(found)]
        return pa.concat_tables(pages, promote_options="permissive") if pages else None

    def datasets(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int | None = None,
        upto: int | None = None,
    ) -> dict[tuple[str, str], int]:
        """Rows written, by connection and dataset; a row that was written twice counts twice."""
        found: dict[tuple[str, str], int] = {}
        for entry in journal.entries(self.metastore, since=since, until=until, after=after, upto=upto):
            if entry.cause != "compare":
                place = (entry.connection, entry.dataset)
                found[place] = found.get(place, 0) + (entry.rows or 0)
        return found

    def changes(self, connection: str, dataset: str, key: Mapping[str, Any]) -> list[Change]:
        """Everything that was done to one key, oldest first.

        Args:
            key: values by column, as JSON has them; a part of the key finds all keys that have it.

        Raises:
            StateError: an entry is damaged.
        """
        found = journal.entries(self.metastore, connection=connection, dataset=dataset)
        hashes = self._hashes(found, key)
        last: dict[str, tuple[int | None, Any]] = {}
        changes = []
        for entry, rows in self._opened([one for one in found if one.cause in _WRITING], whole=True):
            for row in rows_of(_matching(rows, key)):
                operation, text = row.pop(OP), row.pop(ROW, None)
                named = repr(sorted(row.items()))
                after = hashes.get((entry.run_id, entry.destination, entry.target_index, named))
                after = after if operation == UPSERT else None
                before, values_before = last.get(named, (None, None))
                values = json.loads(text) if text else None
                changes.append(Change(entry, row, operation, before, after, values, values_before))
                last[named] = (after, values)
        return changes

    def touched(
        self,
        connection: str,
        dataset: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int | None = None,
        upto: int | None = None,
    ) -> Keys | None:
        """Keys that were written in a span, or may have been, each once; None if nothing was.

        Hashes are those of comparisons in the same span. Positions (`after`, `upto`) do not mind a clock that was set.
        """
        found = journal.entries(
            self.metastore,
            connection=connection,
            dataset=dataset,
            since=since,
            until=until,
            after=after,
            upto=upto,
        )
        whole = [one for one in found if one.cause != "compare" and not one.has_keys]
        tables = [
            (entry, rows.append_column(_ORDER, pa.repeat(pa.scalar(entry.id), rows.num_rows)))
            for entry, rows in self._opened([one for one in found if one.has_keys])
        ]
        written = [rows for entry, rows in tables if entry.cause in _WRITING]
        if not written:
            return Keys(pa.table({}), whole) if whole else None
        merged = pa.concat_tables(written, promote_options="permissive")
        names = [name for name in merged.column_names if name not in (OP, _ORDER)]
        last = _last(merged, names)
        compared = [rows for entry, rows in tables if entry.cause == "compare" and set(names) <= set(rows.column_names)]
        if not compared:
            return Keys(last.append_column(AFTER, pa.nulls(last.num_rows, pa.int64())), whole)
        hashes = _last(pa.concat_tables(compared, promote_options="permissive"), names).select([*names, AFTER])
        hashes = hashes.cast(pa.schema([*(last.schema.field(name) for name in names), pa.field(AFTER, pa.int64())]))
        return Keys(last.join(hashes, keys=names, join_type="left outer"), whole)

    def _hashes(self, found: Sequence[Entry], key: Mapping[str, Any]) -> dict[tuple[str, str, int, str], int]:
        """Hashes of rows with this key, by run, destination, target and key."""
        hashes = {}
        for entry, rows in self._opened([one for one in found if one.cause == "compare"]):
            for row in rows_of(_matching(rows, key)):
                after = row.pop(AFTER)
                named = repr(sorted(row.items()))
                hashes[entry.run_id, entry.destination, entry.target_index, named] = after
        return hashes

    def _opened(self, found: Sequence[Entry], *, whole: bool = False) -> list[tuple[Entry, pa.Table]]:
        """Entries with their keys; `whole` with values that were noted beside them."""
        by_id = {entry.id: entry for entry in found}
        contents = journal.contents(self.metastore, list(by_id))
        opened = ((by_id[number], decode(content)) for number, content in contents)
        return [
            (entry, rows if whole or ROW not in rows.column_names else rows.drop_columns([ROW]))
            for entry, rows in opened
        ]


def _matching(rows: pa.Table, key: Mapping[str, Any]) -> pa.Table:
    names = [name for name in key if name in rows.column_names]
    if not names or len(names) < len(key):
        return rows.slice(0, 0)  # of another version of the pipeline, with another key
    try:
        [wanted] = table_of([key], pa.schema([rows.schema.field(name) for name in names])).to_batches()
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError):
        return rows.slice(0, 0)
    same = [pc.equal(rows.column(name), wanted.column(at)[0]) for at, name in enumerate(names)]
    return rows.filter(reduce(pc.and_, same))


def _last(rows: pa.Table, names: list[str]) -> pa.Table:
    """Of rows with equal keys the one of the latest entry."""
    latest = rows.group_by(names).aggregate([(_ORDER, "max")]).rename_columns({f"{_ORDER}_max": _ORDER})
    found = rows.join(latest, keys=[*names, _ORDER], join_type="left semi").drop_columns([_ORDER])
    rest = [name for name in found.column_names if name not in names]
    grouped = found.group_by(names, use_threads=False).aggregate([(name, "last") for name in rest])
    return grouped.rename_columns({f"{name}_last": name for name in rest})
