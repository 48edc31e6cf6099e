"""The audit trail's entries: who did what, when and why, each chained to the one before it by its hash.

`append` writes in the transaction of what it tells of, so that neither is there without the other; what is done
elsewhere is told before and after (`data_workbench.audit.recorded`). Sequence numbers have no gaps: whoever appends
holds one advisory lock until its transaction ends, so append last. docs/user-guide/audit.md has the canonical form.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, func, insert, select, text

from data_workbench import settings
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.access import audit_entries
from data_workbench.records.values import dumps, storable

Origin = Literal["cli", "airflow", "rest", "ui", "airflow_log"]

FORM = "odras-audit/1"
BEGINNING = "0" * 64
"""What the first entry has in place of the hash before it."""
REDACTED = "***"

_LOCK = 0x0DA7A0A0D17
_LOCK_WAIT = "15s"
_LARGEST_DETAILS = 65_536
_LONGEST = 1_000


@dataclass(frozen=True)
class Author:
    """Who does something, from where, and why if that was said."""

    actor: str
    origin: Origin
    reason: str | None = None

    @classmethod
    def of_process(cls) -> Author:
        """The operating system's user, with WORKBENCH_REASON."""
        return cls(_system_user(), "cli", settings.load().reason or None)


@dataclass(frozen=True)
class Act:
    """What was done to what; `details` is JSON without secrets."""

    action: str
    object: str
    details: Mapping[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True)
class Entry:
    """One entry as it stands; `details` is JSON text, the hashes are SHA-256 in hexadecimal."""

    sequence: int
    at: datetime
    actor: str
    origin: str
    action: str
    object: str
    reason: str | None
    run_id: str | None
    correlation_id: str | None
    details: str
    previous: str
    hash: str

    def as_dict(self) -> dict[str, Any]:
        """The members that are hashed, and the hash."""
        return {**_members(self), "hash": self.hash}

    def told(self) -> dict[str, Any]:
        """For documents: the same with its details as JSON, where they still are some."""
        try:
            details = json.loads(self.details)
        except ValueError:  # somebody edited it: `verify` says so, listing goes on
            details = self.details
        return {**self.as_dict(), "details": details}

    def computed_hash(self, *, sequence: int | None = None) -> str:
        """The hash its content has, or would have at another place."""
        members = _members(self)
        if sequence is not None:
            members["sequence"] = sequence
        return hash_of(members)


_FIELDS = tuple(Entry.__dataclass_fields__)
_COLUMNS = [audit_entries.c[name] for name in _FIELDS]


def canonical(members: Mapping[str, Any]) -> bytes:
    """RFC 8785 of an object of texts, integers and nulls: sorted names, no spaces, UTF-8.

    https://www.rfc-editor.org/rfc/rfc8785; of numbers there are only integers below 2**53.
    """
    return json.dumps(members, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8", "replace")


def hash_of(members: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(members)).hexdigest()


def moment_text(moment: datetime) -> str:
    """A moment as entries have it: UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0") + "Z"


def append(connection: Connection, author: Author, act: Act) -> Entry:
    """Add an entry in the connection's transaction, as the last thing that is done in it.

    Raises:
        sqlalchemy.exc.DBAPIError: it cannot be written; the transaction, and what it did, is undone.
    """
    [entry] = append_all(connection, [(author, act)])
    return entry


def append_all(connection: Connection, acts: Sequence[tuple[Author, Act]]) -> list[Entry]:
    """Add entries in the order given; see `append`."""
    hold(connection)
    last = select(audit_entries.c.sequence, audit_entries.c.hash, func.clock_timestamp().label("at"))
    row = connection.execute(last.order_by(audit_entries.c.sequence.desc()).limit(1)).one_or_none()
    now = row.at if row else connection.execute(select(func.clock_timestamp())).scalar_one()
    sequence, previous = (row.sequence, row.hash) if row else (0, BEGINNING)
    made: list[Entry] = []
    for author, act in acts:
        entry = chained(now, author, act, sequence=sequence + 1, previous=previous)
        sequence, previous = entry.sequence, entry.hash
        made.append(entry)
    if made:
        connection.execute(insert(audit_entries), [vars(entry) for entry in made])
    return made


def hold(connection: Connection) -> None:
    """Keep others from adding until the transaction ends; fine to call twice in one."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def chained(at: datetime, author: Author, act: Act, *, sequence: int, previous: str) -> Entry:
    """The entry that follows the one with hash `previous`."""
    values = {
        "sequence": sequence,
        "at": at,
        "actor": _short(author.actor),
        "origin": author.origin,
        "action": act.action,
        "object": _short(act.object),
        "reason": _short(author.reason),
        "run_id": _short(act.run_id),
        "correlation_id": _short(act.correlation_id),
        "details": _details(act.details),
        "previous": previous,
    }
    entry = Entry(**values, hash="")
    return Entry(**values, hash=entry.computed_hash())


def record(store: Metastore, author: Author, act: Act) -> Entry:
    """Add an entry in a transaction of its own."""
    with store.transaction() as connection:
        return append(connection, author, act)


def redacted(values: Mapping[str, Any], secrets: Collection[str]) -> dict[str, Any]:
    """The values without those named in `secrets`."""
    return {name: REDACTED if name in secrets and value is not None else value for name, value in values.items()}


@dataclass(frozen=True)
class Search:
    """Which entries are wanted: all that fit everything given.

    Args:
        action: one action, or the beginning of many, such as `run`.
        before: only entries with smaller numbers, for the next page.
    """

    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    object: str | None = None
    actor: str | None = None
    origin: str | None = None
    run_id: str | None = None
    before: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """For a `WHERE`."""
        columns = audit_entries.c
        found = [
            columns[name] == value
            for name in ("object", "actor", "origin", "run_id")
            if (value := getattr(self, name)) is not None
        ]
        if self.since is not None:
            found.append(columns.at >= self.since)
        if self.until is not None:
            found.append(columns.at < self.until)
        if self.action is not None:
            below = columns.action.startswith(f"{self.action.removesuffix('.')}.", autoescape=True)
            found.append((columns.action == self.action) | below)
        if self.before is not None:
            found.append(columns.sequence < self.before)
        return found


EVERYTHING = Search()


def list_entries(store: Metastore, search: Search = EVERYTHING, *, limit: int = 100) -> list[Entry]:
    """The latest entries, latest first."""
    wanted = select(*_COLUMNS).where(*search.conditions())
    with store.transaction() as connection:
        found = connection.execute(wanted.order_by(audit_entries.c.sequence.desc()).limit(limit))
        return [Entry(**row._mapping) for row in found]


def count_entries(store: Metastore, search: Search = EVERYTHING) -> int:
    """How many entries fit."""
    with store.transaction() as connection:
        return connection.scalar(select(func.count()).select_from(audit_entries).where(*search.conditions())) or 0


@contextmanager
def entries(store: Metastore, *, through: int | None = None, page: int = 2_000) -> Iterator[Iterator[Entry]]:
    """All entries in their order as of one moment, a page of memory at a time."""
    statement = select(*_COLUMNS).order_by(audit_entries.c.sequence)
    if through is not None:
        statement = statement.where(audit_entries.c.sequence <= through)
    with store.transaction() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        # Closed also where not all is read, as a file that cannot be made: the server keeps a cursor for it.
        with connection.execution_options(stream_results=True, yield_per=page).execute(statement) as streamed:
            yield (Entry(*row) for row in streamed)


def sequence_before(store: Metastore, moment: datetime) -> int | None:
    """The last entry older than `moment`."""
    statement = select(func.max(audit_entries.c.sequence)).where(audit_entries.c.at < moment)
    with store.transaction() as connection:
        return connection.scalar(statement)


def seal(connection: Connection, author: Author, act: Act, *, through: int) -> int:
    """Add the entry that seals what is removed, and remove entries up to `through`; the number removed."""
    append(connection, author, act)
    connection.execute(text("SELECT set_config('workbench.audit_seal', :through, true)"), {"through": str(through)})
    return connection.execute(audit_entries.delete().where(audit_entries.c.sequence <= through)).rowcount


def _members(entry: Entry) -> dict[str, Any]:
    values = {name: getattr(entry, name) for name in _FIELDS if name != "hash"}
    return {**values, "at": moment_text(entry.at), "form": FORM}


def _details(details: Mapping[str, Any]) -> str:
    written = dumps(details)
    if len(written) <= _LARGEST_DETAILS:
        return written
    digest = hashlib.sha256(written.encode()).hexdigest()
    return dumps({"left_out": "too large", "bytes": len(written), "sha256": digest})


def _short(value: str | None) -> Any:
    return None if value is None else storable(value)[:_LONGEST]


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"
