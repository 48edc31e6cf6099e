"""A family of archives leaves its tables: one transaction that deletes what may go of all, and notes every archive.

What may go is narrowed until nothing changes any more: a row has to be as it was archived; a row stays if anything
that is not of the family, or that stays, refers to it; a row that was taken along stays if what it refers to stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.archive import ledger
from data_workbench.archive.removal import Removed, kept_by_trigger, lock, same_key, same_row, stage
from data_workbench.archive.source import Dataset, Reference
from data_workbench.events import emit


@dataclass(frozen=True)
class Member:
    """An archive of a family: its table, its rows as they were read back, and how it is noted."""

    dataset: Dataset
    rows: Iterable[pa.Table]
    noted: ledger.Noted
    staging: str

    @property
    def stream(self) -> str:
        """The table's name."""
        return self.dataset.table.relation.stream


def depart(connection: psycopg.Connection, members: Sequence[Member]) -> list[Removed]:
    """Delete the archived rows of all members and note their archives as live.

    Args:
        members: each after those it refers to, the policy's own rows first.

    Raises:
        NotAllowed: a trigger keeps rows from being deleted; nothing was.
    """
    with connection.transaction():
        for one in members:
            _stage(connection, one)
        for one in members:
            lock(connection, one.dataset, one.staging)
        emit("archive.locked", archive=members[0].noted.archive)
        family = {one.stream: one for one in members}
        narrowing = [statement for one in members for statement in _narrowed(one, family, is_root=one is members[0])]
        while sum(connection.execute(statement).rowcount for statement in narrowing):
            pass
        done = [_delete(connection, one) for one in reversed(members)]
        ledger.count_live(connection, [one.noted.archive for one in members])
        emit("archive.before_commit", archive=members[0].noted.archive)
    emit("archive.after_commit", archive=members[0].noted.archive, rows=done[-1].deleted)
    return done[::-1]


def _stage(connection: psycopg.Connection, member: Member) -> None:
    stage(connection, member.dataset, member.rows, member.staging)
    name = sql.Identifier(member.staging)
    connection.execute(sql.SQL("ALTER TABLE pg_temp.{} ADD COLUMN _wb_stays bool NOT NULL DEFAULT false").format(name))


def _narrowed(member: Member, family: Mapping[str, Member], *, is_root: bool) -> Iterator[sql.Composed]:
    """Statements that let rows stay; each changes nothing once it has nothing to change."""
    ours = sql.Identifier(member.staging)
    yield sql.SQL(
        """UPDATE pg_temp.{} AS s SET _wb_stays = true WHERE NOT s._wb_stays
               AND NOT EXISTS (SELECT FROM {} AS t WHERE {} AND {})"""
    ).format(ours, _table(member), same_key(member.dataset.table.key), same_row(member.dataset.schema.names))
    for reference in member.dataset.references:
        other = family.get(reference.relation.stream)
        yield sql.SQL(
            """UPDATE pg_temp.{} AS s SET _wb_stays = true WHERE NOT s._wb_stays
                   AND EXISTS (SELECT FROM {} AS t WHERE {} AND {})"""
        ).format(ours, sql.SQL(reference.relation.sql), _refers("t", reference, "s"), _holds(reference, other))
        if other is not None and not (is_root and reference.is_own):
            yield sql.SQL(
                """UPDATE pg_temp.{} AS c SET _wb_stays = true WHERE NOT c._wb_stays
                       AND EXISTS (SELECT FROM pg_temp.{} AS s WHERE s._wb_stays AND {})"""
            ).format(sql.Identifier(other.staging), ours, _refers("c", reference, "s"))


def _holds(reference: Reference, other: Member | None) -> sql.Composable:
    """Whether a row `t` that refers to `s` keeps it: it is not of the family, or stays; itself does not count."""
    if other is None:
        return sql.SQL("true")
    key = other.dataset.table.key
    same = sql.SQL(" AND ").join(sql.SQL("c.{0} = t.{0}").format(sql.Identifier(name)) for name in key)
    stays = sql.SQL("NOT EXISTS (SELECT FROM pg_temp.{} AS c WHERE NOT c._wb_stays AND {})").format(
        sql.Identifier(other.staging), same
    )
    return sql.SQL("NOT ({}) AND {}").format(same_key(key), stays) if reference.is_own else stays


def _delete(connection: psycopg.Connection, member: Member) -> Removed:
    name = sql.Identifier(member.staging)
    ledger.note(connection, member.noted)
    row = connection.execute(
        sql.SQL("SELECT count(*) FILTER (WHERE NOT _wb_stays), count(*) FROM pg_temp.{}").format(name)
    ).fetchone()
    assert row is not None
    going, staged = row
    deleted = connection.execute(
        sql.SQL("DELETE FROM {} AS t USING pg_temp.{} AS s WHERE NOT s._wb_stays AND {}").format(
            _table(member), name, same_key(member.dataset.table.key)
        )
    ).rowcount
    if deleted != going:
        raise kept_by_trigger(member.stream, going - deleted)
    connection.execute(
        sql.SQL(
            """INSERT INTO _workbench.archive_gone (archive, part, row, reason)
               SELECT {}, _wb_part, _wb_row, 'changed' FROM pg_temp.{} WHERE _wb_stays"""
        ).format(sql.Literal(member.noted.archive), name)
    )
    return Removed(deleted=deleted, kept=staged - deleted)


def _refers(child: str, reference: Reference, parent: str) -> sql.Composed:
    pairs = zip(reference.theirs, reference.ours, strict=True)
    return sql.SQL(" AND ").join(
        sql.SQL("{}.{} = {}.{}").format(sql.SQL(child), sql.Identifier(theirs), sql.SQL(parent), sql.Identifier(ours))
        for theirs, ours in pairs
    )


def _table(member: Member) -> sql.SQL:
    return sql.SQL(member.dataset.table.relation.sql)
