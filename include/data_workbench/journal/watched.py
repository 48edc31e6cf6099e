"""Changes that were found in watched streams, as entries of the journal: their form, and asking for them.

A row of an entry is one change, or one thing that befell the stream as a whole:

    insert, update, delete    of one key, with hashes, and values where the watch has them noted
    truncate                  the table was emptied
    gap                       what happened in a span is not known; `detail` says why
    note                      who wrote in the transaction `xid`: run, actor, reason

Keys are texts, whatever the store's type: the same key is found whoever asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.journal.content import decode, encode
from data_workbench.metastore import journal
from data_workbench.records.marks import PREFIX

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.journal import Entry

What = Literal["insert", "update", "delete", "truncate", "gap", "note"]


@dataclass(frozen=True)
class Found:
    """What a watcher found.

    Args:
        what: see above.
        at: when it was committed, where the store tells that; or else when it was seen.
        since: it happened after this moment, where only that is known.
        xid: of the transaction, within one pass.
        hash_before, hash_after: of the row's watched columns; null where it is not known.
        row_before, row_after: the row as JSON.
        changed: names of the columns that differ, as JSON; null where one side is not known.
        actor: as the row itself tells it.
        detail: of a gap the reason, of a note what it says, as JSON.
    """

    what: What
    at: str
    since: str | None = None
    xid: int | None = None
    hash_before: int | None = None
    hash_after: int | None = None
    row_before: str | None = None
    row_after: str | None = None
    changed: str | None = None
    actor: str | None = None
    detail: str | None = None


_NUMBERS: Final = frozenset({"xid", "hash_before", "hash_after"})
_COLUMNS: Final = {
    item.name: pa.field(f"{PREFIX}{item.name}", pa.int64() if item.name in _NUMBERS else pa.string())
    for item in fields(Found)
}


def encode_found(key: Sequence[str], found: Sequence[tuple[Mapping[str, str | None], Found]]) -> bytes:
    """Changes with their keys as the content of an entry."""
    columns = {name: pa.array([one.get(name) for one, _ in found], pa.string()) for name in key}
    arrays = [pa.array([getattr(one, name) for _, one in found], item.type) for name, item in _COLUMNS.items()]
    schema = pa.schema([*(pa.field(name, pa.string()) for name in key), *_COLUMNS.values()])
    return encode(pa.Table.from_arrays([*columns.values(), *arrays], schema=schema))


@dataclass(frozen=True)
class Watched:
    """A change as it is told.

    `note` is what the transaction's writer said of itself: `run_id` and `pipeline` of a run, or `actor` and `reason`.
    """

    entry: Entry
    key: Mapping[str, str | None]
    found: Found
    note: Mapping[str, Any]

    @property
    def before(self) -> Any:
        """The row before."""
        return json.loads(self.found.row_before) if self.found.row_before else None

    @property
    def after(self) -> Any:
        """The row after."""
        return json.loads(self.found.row_after) if self.found.row_after else None

    @property
    def changed(self) -> list[str] | None:
        """Columns that differ."""
        return json.loads(self.found.changed) if self.found.changed else None


def watched(
    store: Metastore,
    connection: str,
    dataset: str,
    key: Mapping[str, str] | None = None,
    *,
    after: int | None = None,
    limit: int | None = None,
) -> list[Watched]:
    """Changes of a dataset, in their order, with what befell it as a whole.

    Args:
        key: only of keys with these values; a key of other names is compared value by value, in its order.
        after: position in the journal to begin behind.
        limit: the last so many.
    """
    found = journal.entries(store, connection=connection, dataset=dataset, causes=["watch"], after=after)
    by_id = {one.id: one for one in found}
    opened = [(by_id[number], decode(content)) for number, content in journal.contents(store, list(by_id))]
    notes = {place: note for entry, rows in opened for place, note in _notes(entry, rows)}
    told = [one for entry, rows in opened for one in _told(entry, rows, key, notes)]
    return told[-limit:] if limit is not None else told


_Notes = dict[tuple[str, int], Mapping[str, Any]]


def _notes(entry: Entry, rows: pa.Table) -> Iterator[tuple[tuple[str, int], Mapping[str, Any]]]:
    for row in rows.filter(pc.equal(rows.column(f"{PREFIX}what"), "note")).to_pylist():
        yield (entry.run_id, row[f"{PREFIX}xid"]), json.loads(row[f"{PREFIX}detail"])


def _told(entry: Entry, rows: pa.Table, key: Mapping[str, str] | None, notes: _Notes) -> Iterator[Watched]:
    names = [name for name in rows.column_names if not name.startswith(PREFIX)]
    for row in _wanted(rows, names, key).to_pylist():
        found = Found(**{name: row[item.name] for name, item in _COLUMNS.items()})
        if found.what != "note":
            note = notes.get((entry.run_id, found.xid), {}) if found.xid is not None else {}
            yield Watched(entry, {name: row[name] for name in names}, found, note)


def _wanted(rows: pa.Table, names: list[str], key: Mapping[str, str] | None) -> pa.Table:
    if key is None:
        return rows
    whole = pc.is_in(rows.column(f"{PREFIX}what"), value_set=pa.array(["truncate", "gap"]))
    asked = {name: key[name] for name in names if name in key}
    if len(asked) < len(key):
        asked = dict(zip(names, key.values(), strict=True)) if len(names) == len(key) else {}
    same = pa.scalar(bool(asked))
    for name, value in asked.items():
        same = pc.and_(same, pc.fill_null(pc.equal(rows.column(name), value), False))
    return rows.filter(pc.or_(whole, same))
