"""Rows that refer to archived rows by a foreign key, over any number of tables: read to be taken along.

Each table has archives of its own under `<policy>.<table>`, with a manifest like any other. Those of one batch are a
family: the manifest of the policy's own rows is written last and names the others, and one transaction at the
database decides for all of them. A row leaves only if all that refers to it leaves, and a row that was taken along
stays if what it refers to stays.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
from psycopg import sql

from data_workbench.archive.manifest import Link
from data_workbench.archive.policy import Policy
from data_workbench.archive.source import Batch, Dataset, Eligible, copied, relative_of, within
from data_workbench.errors import Unsupported

if TYPE_CHECKING:
    import psycopg

    from data_workbench.connectors.postgres.client import PatientConnection
    from data_workbench.settings import Settings

_LONGEST = 63
_TAKES_KEYS = """
SELECT pg_catalog.current_setting('transaction_read_only') = 'off'
   AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP')
"""
"""A standby makes no temporary tables, nor does a session that only reads."""

Certainty = Literal["exact", "at least", "unknown"]
"""How well a number of rows is known."""


@dataclass(frozen=True)
class Relative:
    """A table whose rows go along: `policy` names its archives, `links` say what of it refers to what."""

    policy: str
    dataset: Dataset
    links: tuple[Link, ...]

    @property
    def stream(self) -> str:
        """The table's name."""
        return self.dataset.table.relation.stream


def relatives_of(connection: psycopg.Connection, policy: Policy, root: Dataset) -> tuple[Relative, ...]:
    """Tables that refer to the policy's, over others or at once, each after all it refers to; none unless it takes.

    Raises:
        Unsupported: they refer to each other in a circle, or one cannot be archived.
        AccessDenied: not all of one may be read.
    """
    if policy.referenced != "take":
        return ()
    own = root.table.relation.stream
    known, links, waiting = {own: root}, dict[str, list[Link]](), [root]
    while waiting:
        at = waiting.pop()
        for one in at.references:
            link = Link(table=at.table.relation.stream, columns=one.theirs, refers_to=one.ours)
            stream = one.relation.stream
            links.setdefault(stream, []).append(link)
            if stream not in known:
                known[stream] = relative_of(connection, one.relation, policy.as_text or ())
                waiting.append(known[stream])
    schema = root.table.relation.schema
    found = [
        Relative(_name(policy.archive, dataset, schema), dataset, tuple(links[stream]))
        for stream, dataset in known.items()
        if stream != own
    ]
    return tuple(_ordered(found, own, [one.table for one in links.get(own, ())]))


def _ordered(found: Sequence[Relative], own: str, referred: Sequence[str]) -> Iterator[Relative]:
    """Each after what it refers to; `referred`: tables that the policy's own refers to itself."""
    done, waiting = {own}, list(found)
    while waiting:
        ready = [one for one in waiting if {link.table for link in one.links} <= {*done, one.stream}]
        if not ready or set(referred) - {own}:
            names = ", ".join(sorted(one.stream for one in waiting))
            raise Unsupported(
                f"rows of {own} cannot take along what refers to them: {names or own} are in a circle of foreign keys",
                hint="write `referenced: keep`, or archive one of them by a policy of its own",
            )
        yield from ready
        done |= {one.stream for one in ready}
        waiting = [one for one in waiting if one not in ready]


def _name(policy: str, dataset: Dataset, schema: str) -> str:
    relation = dataset.table.relation
    plain = re.sub(r"[^a-z0-9_]", "_", relation.name.lower())
    plain = plain if plain[:1].isalpha() else f"t_{plain}"
    if plain != relation.name or relation.schema != schema or len(plain) > _LONGEST:
        plain = f"{plain[: _LONGEST - 9]}_{hashlib.sha256(relation.stream.encode()).hexdigest()[:8]}"
    return f"{policy}.{plain}"


# ------------------------------------------------------------------------------------------------------ reading


class Family:
    """What goes along with a batch, within the transaction that read it: keys in temporary tables, which go with it.

    Args:
        batch: None for all that is past its time.
        most: keep about so many keys of each table and leave out the rest, for those who only count.
    """

    def __init__(
        self,
        connection: PatientConnection,
        eligible: Eligible,
        batch: Batch | None,
        relatives: Sequence[Relative],
        *,
        most: int | None = None,
    ) -> None:
        self._connection = connection
        self._relatives = relatives
        self._most = most
        self._limit = sql.SQL("") if most is None else sql.SQL(" LIMIT {}").format(sql.Literal(most))
        self._places = {eligible.dataset.table.relation.stream: 0}
        self._places |= {one.stream: place for place, one in enumerate(relatives, start=1)}
        self._keep(eligible.dataset, eligible.condition() if batch is None else within(eligible, batch))
        for one in relatives:
            self._take(one)

    def rows(self, relative: Relative, settings: Settings) -> Iterator[pa.RecordBatch]:
        """Of a table, in the order of its key."""
        dataset = relative.dataset
        order = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in dataset.table.key)
        query = sql.SQL("SELECT {} FROM {} AS t WHERE {} ORDER BY {}").format(
            sql.SQL(", ".join(one.expression for one in dataset.asked())),
            sql.SQL(dataset.table.relation.sql),
            self._is_taken(relative),
            order,
        )
        yield from copied(self._connection, query, dataset.schema, dataset.asked(), relative.stream, settings)

    def count(self, relative: Relative) -> int:
        """How many rows of a table go along."""
        row = self._connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(self._kept(relative.stream))
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _is_taken(self, relative: Relative) -> sql.Composed:
        return sql.SQL("EXISTS (SELECT FROM {} AS s WHERE {})").format(
            self._kept(relative.stream), _equal("t", relative.dataset.table.key, "s", relative.dataset.table.key)
        )

    def _kept(self, stream: str) -> sql.Composed:
        return sql.SQL("pg_temp.{}").format(sql.Identifier(f"_wb_family_{self._places[stream]}"))

    def _columns(self, dataset: Dataset) -> list[str]:
        """The key, and what others refer to."""
        stream = dataset.table.relation.stream
        referred = [link.refers_to for one in self._relatives for link in one.links if link.table == stream]
        return list(dict.fromkeys([*dataset.table.key, *(name for names in referred for name in names)]))

    def _keep(self, dataset: Dataset, condition: sql.Composed) -> None:
        stream = dataset.table.relation.stream
        kept = self._kept(stream)
        columns = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in self._columns(dataset))
        self._connection.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} AS t WHERE {}{}").format(
                sql.Identifier(f"_wb_family_{self._places[stream]}"),
                columns,
                sql.SQL(dataset.table.relation.sql),
                condition,
                self._limit,
            )
        )
        self._connection.execute(sql.SQL("ANALYZE {}").format(kept))

    def _take(self, relative: Relative) -> None:
        """Rows that refer to what is taken; then, within the table, rows that refer to these."""
        others = [link for link in relative.links if link.table != relative.stream]
        self._keep(relative.dataset, sql.SQL(" OR ").join(map(self._refers, others)))
        own = [link for link in relative.links if link.table == relative.stream]
        if not own:
            return
        names = sql.SQL(", ").join(
            sql.SQL("t.{}").format(sql.Identifier(name)) for name in self._columns(relative.dataset)
        )
        more = sql.SQL("INSERT INTO {} SELECT {} FROM {} AS t WHERE ({}) AND NOT {}{}").format(
            self._kept(relative.stream),
            names,
            sql.SQL(relative.dataset.table.relation.sql),
            sql.SQL(" OR ").join(map(self._refers, own)),
            self._is_taken(relative),
            self._limit,
        )
        while self._connection.execute(more).rowcount:
            if self._most is not None and self.count(relative) >= self._most:
                return

    def _refers(self, link: Link) -> sql.Composed:
        return sql.SQL("EXISTS (SELECT FROM {} AS s WHERE {})").format(
            self._kept(link.table), _equal("t", link.columns, "s", link.refers_to)
        )


def rehearsed(
    connection: PatientConnection, eligible: Eligible, relatives: Sequence[Relative], rows: int, *, most: int
) -> tuple[dict[str, int], Certainty]:
    """Rows by table that would go along with so many that are past their time, within a transaction.

    Args:
        most: keys of each table are kept in temporary tables up to about so many, whatever the size of the tables.
    """
    if not relatives or not rows:
        return {}, "exact"
    row = connection.execute(_TAKES_KEYS).fetchone()
    if not row or not row[0]:
        return {}, "unknown"
    family = Family(connection, eligible, None, relatives, most=most)
    found = {one.stream: family.count(one) for one in relatives}
    is_cut = max(rows, *found.values()) >= most
    return {name: count for name, count in found.items() if count}, "at least" if is_cut else "exact"


def _equal(ours: str, columns: Sequence[str], theirs: str, others: Sequence[str]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{}.{} = {}.{}").format(sql.SQL(ours), sql.Identifier(one), sql.SQL(theirs), sql.Identifier(other))
        for one, other in zip(columns, others, strict=True)
    )
