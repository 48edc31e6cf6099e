"""Which rows of an archive come back: those that were asked for, or those that refer to rows that did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.archive import parts
from data_workbench.archive.keys import read_keys, split_key
from data_workbench.archive.manifest import Manifest
from data_workbench.connectors.selection import semi_join
from data_workbench.errors import UsageError
from data_workbench.mapping.text_values import to_text

if TYPE_CHECKING:
    from data_workbench.archive.running import Archiver
    from data_workbench.connectors.postgres.catalogue import Table
    from data_workbench.connectors.postgres.client import PatientConnection


@dataclass(frozen=True)
class Selection:
    """Which archived rows: of these archives or partition, with these keys, of this time; all where nothing is said.

    A key is a text as `keys.split_key` reads it.
    """

    archives: tuple[str, ...] = ()
    partition: str | None = None
    keys: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


class Picking(Protocol):
    """Picks rows of one archive."""

    def places(self) -> Sequence[int] | None:
        """The parts that may hold any; None for all."""

    def picked(self, rows: pa.Table) -> pa.Table:
        """Of a row group."""


class BySelection:
    """What was asked for."""

    def __init__(
        self,
        selection: Selection,
        archiver: Archiver,
        manifest: Manifest,
        session: PatientConnection,
        table: Table | None,
    ) -> None:
        self._selection, self._archiver, self._manifest = selection, archiver, manifest
        self._session, self._table = session, table

    @cached_property
    def _keys(self) -> pa.Table:
        keys = [split_key(one, self._manifest.origin.key) for one in self._selection.keys]
        return read_keys(self._session, keys, self._manifest, self._table, self._archiver.settings)

    def places(self) -> Sequence[int] | None:
        """Parts whose range of keys holds one of the keys."""
        if not self._selection.keys:
            return None
        firsts = parts.sortable(self._keys.column(0)).to_pylist()
        spans = [(part.first, part.last) for part in self._manifest.parts]
        return [place for place, (low, high) in enumerate(spans) if any(low <= one <= high for one in firsts)]

    def picked(self, rows: pa.Table) -> pa.Table:
        """Rows with one of the keys, of the time. Raises UsageError for a time of rows that have none."""
        selection = self._selection
        if selection.keys:
            rows = matching(rows, self._keys)
        age = str(self._manifest.definition["age"]["column"])
        for moment, keeps in ((selection.since, pc.greater_equal), (selection.until, pc.less)):
            if moment is None:
                continue
            if self._manifest.root is not None:
                raise UsageError(
                    f"rows of {self._manifest.origin.stream} have no age: they went along with others",
                    hint=f"restore those: workbench archive restore {self._manifest.root.policy}",
                )
            rows = rows.filter(keeps(rows.column(age), _moment(moment, rows.schema.field(age).type)))
        return rows


class ByLink:
    """What refers to rows that were picked before, by table and archive; of its own table those that are so far."""

    def __init__(self, manifest: Manifest, before: Mapping[str, Mapping[str, pa.Table]]) -> None:
        self._links, self._before = manifest.links, before

    def places(self) -> Sequence[int] | None:
        """Any."""
        return None

    def picked(self, rows: pa.Table) -> pa.Table:
        """Rows that refer to one of them."""
        numbers = pa.array(range(len(rows)), pa.int64())
        found = pa.array([False] * len(rows))
        for link in self._links:
            texts = _as_texts(rows, link.columns).append_column("row", numbers)
            for others in self._before.get(link.table, {}).values():
                same = matching(texts, _as_texts(others, link.refers_to))
                found = pc.or_(found, pc.is_in(numbers, value_set=same.column("row").combine_chunks()))
        return rows.filter(found)


def _as_texts(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Columns as canonical texts: a key and what refers to it may be of different types."""
    plain = [to_text(rows.column(name)) for name in names]
    return pa.table(plain, names=[f"k{index}" for index in range(len(names))])


def matching(rows: pa.Table, keys: pa.Table) -> pa.Table:
    """The rows whose columns equal a row of `keys`."""
    batches = [semi_join(batch, keys) for batch in rows.combine_chunks().to_batches()]
    return pa.Table.from_batches(batches, schema=rows.schema)


def _moment(moment: datetime, kind: pa.DataType) -> pa.Scalar:
    """A time as the column has it; a column without a zone is UTC."""
    utc = moment.astimezone(UTC)
    if pa.types.is_date(kind):
        return pa.scalar(utc.date(), kind)
    return pa.scalar(utc if kind.tz else utc.replace(tzinfo=None), kind)
