"""Loads of one table: a part, its ownership and its checkpoint are one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.base import Progress, Rejection, Writer
from data_workbench.connectors.operations import split_operations
from data_workbench.connectors.sql.dialect import KEYS, STAGING, Column, Session, Table
from data_workbench.connectors.sql.state import Checkpoint, Ownership
from data_workbench.errors import RecordRejected, StateError
from data_workbench.events import emit
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    from data_workbench.mapping.targets import LoadContext, TableTarget


class SqlWriter(Writer):
    """Append and merge; `columns` are the input columns that are written."""

    def __init__(
        self, session: Session, table: Table, columns: tuple[str, ...], target: TableTarget, context: LoadContext
    ) -> None:
        self.session, self.table, self.columns, self.target, self.context = session, table, columns, target, context
        self.checkpoint = Checkpoint(context, target)
        self.ownership = Ownership(context, target.table, target.key)
        self.progress, self.rejections = self.checkpoint.load(session)
        self._dialect = session.dialect
        session.execute(self._dialect.like(STAGING, table.sql, columns))
        if target.key:
            session.execute(self._dialect.like(KEYS, table.sql, target.key))

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        if index != self.progress.parts:
            raise StateError(
                f"table {self.target.table}: part {index} came, part {self.progress.parts} is next",
                hint="begin at writer.progress.parts",
            )
        facts = {"destination": self.context.destination, "target": self.target.name, "part": index}
        with self.session.transaction():
            counts, rejected = self._write_part(part)
            progress = Progress(index + 1, WriteCounts().add(self.progress.counts).add(counts))
            self.checkpoint.save(self.session, progress, index, rejected)
            emit("load.before_commit", **facts)
        emit("load.after_commit", **facts)
        self.progress = progress
        self.rejections += rejected
        return counts

    def _write_part(self, part: pa.Table) -> tuple[WriteCounts, list[Rejection]]:
        asked = split_operations(part)
        counts, rejected = WriteCounts(), list[Rejection]()
        taken: list[pa.Table] = []
        self._take(self._storable(asked.upserts, rejected), counts, rejected, taken)
        counts.add(WriteCounts(out=len(rejected), rejected=len(rejected)))
        for rows in taken:
            self.ownership.add(self.session, rows)
        if self.target.write != "merge":
            return counts.add(WriteCounts(out=asked.tombstones.num_rows, unchanged=asked.tombstones.num_rows)), rejected
        gone = self.delete(asked.tombstones)
        counts.add(WriteCounts(out=asked.tombstones.num_rows, deleted=gone, unchanged=asked.tombstones.num_rows - gone))
        retracted = self.delete(asked.retractions)
        return counts.add(WriteCounts(deleted=retracted, retracted=retracted)), rejected

    # ------------------------------------------------------------------------------------------------ what is refused

    def _storable(self, rows: pa.Table, rejected: list[Rejection]) -> pa.Table:
        """Rows without what is known beforehand to be refused, or to be changed in silence."""
        for name in self.columns:
            column = self.table.column(name)
            mask = self._dialect.unstorable(rows.column(name), is_key=name in self.target.key)
            reason = (
                f"column {name!r} holds a value {self._dialect.title} does not keep (NaN, infinity, a key with NUL)"
            )
            rows = self._without(rows, mask, f"value:{name}", reason, rejected)
            if column is not None and not column.field.nullable:
                mask = pc.is_null(rows.column(name))
                rows = self._without(rows, mask, f"not_null:{name}", f"column {name!r} takes no NULL", rejected)
        return rows

    def _without(
        self, rows: pa.Table, mask: pa.ChunkedArray | None, rule: str, reason: str, rejected: list[Rejection]
    ) -> pa.Table:
        if mask is None or not pc.any(mask).as_py():
            return rows
        bad = pc.fill_null(mask, fill_value=False)
        refused = rows.filter(bad)
        rejected += [self._rejection(refused.slice(place, 1), rule, reason) for place in range(refused.num_rows)]
        return rows.filter(pc.invert(bad))

    def _rejection(self, row: pa.Table, rule: str, reason: str) -> Rejection:
        names = [name for name in (self.target.key or self.columns) if name in row.column_names]
        return Rejection(row.select(names).to_pylist()[0], f"{self._dialect.kind}:{rule}", reason)

    def _take(self, rows: pa.Table, counts: WriteCounts, rejected: list[Rejection], taken: list[pa.Table]) -> None:
        """Write the rows; those the database refuses are found by halving."""
        if rows.num_rows == 0:
            return
        try:
            counts.add(self._tried(rows))
            taken.append(rows)
            return
        except RecordRejected as error:
            if not self._dialect.savepoints:
                self._begin_again(taken)
            if rows.num_rows == 1:
                rejected.append(self._rejection(rows, "refused", error.message))
                return
        middle = rows.num_rows // 2
        self._take(rows.slice(0, middle), counts, rejected, taken)
        self._take(rows.slice(middle), counts, rejected, taken)

    def _tried(self, rows: pa.Table) -> WriteCounts:
        if not self._dialect.savepoints:
            return self._apply(rows)
        self.session.execute("SAVEPOINT wb")
        try:
            counts = self._apply(rows)
        except RecordRejected:
            self.session.execute("ROLLBACK TO wb")
            raise
        self.session.execute("RELEASE SAVEPOINT wb")
        return counts

    def _begin_again(self, taken: list[pa.Table]) -> None:
        """A database without savepoints gives up the whole transaction: what it took is written again."""
        self.session.roll_back()
        self.session.execute(self._dialect.begin)
        for rows in taken:
            self._apply(rows)

    # ------------------------------------------------------------------------------------------------ what is written

    def _apply(self, rows: pa.Table) -> WriteCounts:
        rows = rows.select(list(self.columns))
        if self.target.write != "merge":
            self.session.load(self.table.sql, self.columns, rows)
            return WriteCounts(out=rows.num_rows, inserted=rows.num_rows)
        self.session.execute(f"DELETE FROM {STAGING}")
        self.session.load(STAGING, self.columns, rows)
        changing = [one for one in self.table.columns if one.name in self.columns and one.name not in self.target.key]
        updated = 0
        if changing:
            updated = self._update(changing)
        names, staged = self._dialect.listing(self.columns), self._dialect.listing(self.columns, "s.")
        inserted = self.session.execute(
            f"INSERT INTO {self.table.sql} ({names}) SELECT {staged} FROM {STAGING} AS s"
            f" WHERE NOT EXISTS (SELECT 1 FROM {self.table.sql} AS t WHERE {self._dialect.same(self.target.key)})"
        )
        unchanged = rows.num_rows - inserted - updated
        return WriteCounts(out=rows.num_rows, inserted=inserted, updated=updated, unchanged=unchanged)

    def _update(self, columns: list[Column]) -> int:
        """How many staged rows changed something; where nothing keeps the key unique, one may change several."""
        key, counted = self.target.key, 0
        if not self.table.is_unique(key):
            query = f"SELECT count(*) FROM {STAGING} AS s WHERE EXISTS (SELECT 1 FROM {self.table.sql} AS t"
            query += f" WHERE {self._dialect.same(key)} AND ({self._dialect.differ(columns)}))"
            counted = int(self.session.rows(query)[0][0])
        touched = self.session.execute(self._dialect.updated(self.table.sql, columns, key))
        return touched if self.table.is_unique(key) else counted

    def delete(self, rows: pa.Table) -> int:
        """Delete owned rows with these keys, within a transaction; how many."""
        if rows.num_rows == 0:
            return 0
        keys = rows.select(list(self.target.key))
        self.ownership.learn(self.session)
        mine = keys.filter(self.ownership.are_owned(keys))
        if mine.num_rows == 0:
            return 0
        self.session.execute(f"DELETE FROM {KEYS}")
        self.session.load(KEYS, self.target.key, mine)
        deleted = self.session.execute(self._dialect.deleted(self.table.sql, self.target.key))
        self.ownership.add(self.session, mine, gone=True)
        return deleted

    # ------------------------------------------------------------------------------------------------ the end

    def finish(self) -> WriteCounts:
        if self.progress.finished:
            return self.progress.counts
        facts = {"destination": self.context.destination, "target": self.target.name, "part": None}
        progress = Progress(self.progress.parts, self.progress.counts, finished=True)
        with self.session.transaction():
            self.ownership.compact(self.session)
            self.checkpoint.save(self.session, progress, progress.parts)
            self.checkpoint.forget_old(self.session)
            emit("load.before_commit", **facts)
        emit("load.after_commit", **facts)
        self.progress = progress
        return progress.counts

    def close(self) -> None:
        self.session.close()


class ReplaceWriter(SqlWriter):
    """One transaction over all parts: readers see the old rows until its commit. Begun again if interrupted."""

    _begun = False

    def _begin(self) -> None:
        if not self._begun:
            self.session.execute(self._dialect.begin)
            self.session.execute(f"DELETE FROM {self.table.sql}")
            self.ownership.forget(self.session)
            self._begun = True

    def _begin_again(self, taken: list[pa.Table]) -> None:  # noqa: ARG002  # parts before are lost, too
        raise RecordRejected(
            f"table {self.target.table}: a row is refused, and {self._dialect.title} gives up the whole load with it",
            hint="filter the row in a step, or use `write: merge`, which quarantines it; nothing was changed",
        )

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        self._begin()
        counts, rejected = self._write_part(part)
        self.progress = Progress(index + 1, WriteCounts().add(self.progress.counts).add(counts))
        self.rejections += rejected
        return counts

    def finish(self) -> WriteCounts:
        if self.progress.finished:
            return self.progress.counts
        parts = self.progress.parts
        facts = {"destination": self.context.destination, "target": self.target.name, "part": max(parts - 1, 0)}
        progress = Progress(parts, self.progress.counts, finished=True)
        self._begin()
        self.ownership.compact(self.session)
        self.checkpoint.save(self.session, progress, parts, self.rejections)
        self.checkpoint.forget_old(self.session)
        emit("load.before_commit", **facts)
        self.session.execute("COMMIT")
        emit("load.after_commit", **facts)
        self.progress = progress
        return progress.counts


WRITERS: dict[str, Any] = {"append": SqlWriter, "merge": SqlWriter, "replace": ReplaceWriter}
