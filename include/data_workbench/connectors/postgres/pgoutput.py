"""Messages of pgoutput, protocol 1: from bytes to changes of rows, values as the server's text.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
A decoder serves one call of a slot's function, which tells each relation before its first change.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from data_workbench.connectors.postgres.names import Relation
from data_workbench.errors import StateError

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)

Values = Mapping[str, str | None]


@dataclass(frozen=True)
class Begin:
    """A transaction begins: where its commit stands in the log, when it committed."""

    lsn: int
    at: datetime
    xid: int


@dataclass(frozen=True)
class Commit:
    """A transaction ends; `end` is the position behind it."""

    end: int


@dataclass(frozen=True)
class RowChange:
    """One row.

    Args:
        key: of the row before, if it told one: its replica identity.
        before: the whole row before, where the table has REPLICA IDENTITY FULL.
        after: the row now, without columns that are `unchanged`: large values the log does not repeat.
        is_whole: the table has REPLICA IDENTITY FULL.
    """

    relation: Relation
    operation: Literal["insert", "update", "delete", "truncate"]
    key: Values | None = None
    before: Values | None = None
    after: Values | None = None
    unchanged: frozenset[str] = frozenset()
    is_whole: bool = False


@dataclass(frozen=True)
class Note:
    """A message that somebody left in the log with pg_logical_emit_message."""

    prefix: str
    content: bytes


Message = Begin | Commit | RowChange | Note


@dataclass(frozen=True)
class _Known:
    relation: Relation
    columns: tuple[str, ...]
    identity: frozenset[str]
    is_whole: bool


@dataclass
class Decoder:
    """Takes messages in their order."""

    _known: dict[int, _Known] = field(default_factory=dict)

    def decode(self, content: bytes) -> list[Message]:
        """What a message says; nothing for those that only describe.

        Raises:
            StateError: it is none of pgoutput's.
        """
        try:
            return self._decoded(_Bytes(content))
        except (struct.error, KeyError, ValueError, IndexError) as error:
            raise StateError(
                f"a message of the log is not what pgoutput sends ({type(error).__name__})",
                hint="tell the maintainers the server's version",
            ) from error

    def _decoded(self, read: _Bytes) -> list[Message]:
        match read.letter():
            case "B":
                lsn, micros, xid = read.take(">QqI")
                return [Begin(lsn, _EPOCH + timedelta(microseconds=micros), xid)]
            case "C":
                _, _, end, _ = read.take(">BQQq")
                return [Commit(end)]
            case "R":
                self._learn(read)
            case "I":
                known = self._of(read)
                read.letter()
                after, unchanged = read.row(known.columns)
                return [RowChange(known.relation, "insert", after=after, unchanged=unchanged, is_whole=known.is_whole)]
            case "U":
                return [self._update(read)]
            case "D":
                known = self._of(read)
                key, before = self._old(read, known, read.letter())
                return [RowChange(known.relation, "delete", key=key, before=before, is_whole=known.is_whole)]
            case "T":
                count, _ = read.take(">IB")
                return [RowChange(self._of(read).relation, "truncate") for _ in range(count)]
            case "M":
                read.take(">BQ")
                prefix, (size,) = read.text(), read.take(">I")
                return [Note(prefix, read.bytes(size))]
        return []  # a type, an origin: nothing we ask for

    def _update(self, read: _Bytes) -> RowChange:
        known, letter = self._of(read), read.letter()
        key = before = None
        if letter in "KO":
            key, before = self._old(read, known, letter)
            read.letter()
        after, unchanged = read.row(known.columns)
        if before is not None and unchanged:  # the old row holds them in full
            after, unchanged = {**after, **{name: before[name] for name in unchanged}}, frozenset()
        return RowChange(known.relation, "update", key, before, after, unchanged, known.is_whole)

    def _old(self, read: _Bytes, known: _Known, letter: str) -> tuple[Values, Values | None]:
        row, _ = read.row(known.columns)
        return {name: row[name] for name in known.columns if name in known.identity}, row if letter == "O" else None

    def _of(self, read: _Bytes) -> _Known:
        return self._known[read.take(">I")[0]]

    def _learn(self, read: _Bytes) -> None:
        (number,) = read.take(">I")
        relation = Relation(read.text() or "pg_catalog", read.text())
        identity_kind, count = read.take(">BH")
        columns, identity = [], set()
        for _ in range(count):
            (flags,) = read.take(">B")
            columns.append(read.text())
            read.take(">Ii")
            if flags & 1:
                identity.add(columns[-1])
        self._known[number] = _Known(relation, tuple(columns), frozenset(identity), is_whole=chr(identity_kind) == "f")


class _Bytes:
    """A message, read from its beginning."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def take(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return found

    def letter(self) -> str:
        self._at += 1
        return chr(self._content[self._at - 1])

    def text(self) -> str:
        end = self._content.index(0, self._at)
        found = self._content[self._at : end].decode()
        self._at = end + 1
        return found

    def bytes(self, size: int) -> bytes:
        found = self._content[self._at : self._at + size]
        if len(found) < size:
            raise IndexError
        self._at += size
        return found

    def row(self, columns: tuple[str, ...]) -> tuple[dict[str, str | None], frozenset[str]]:
        """Values by column, and those that are not repeated as they did not change."""
        (count,) = self.take(">H")
        values: dict[str, str | None] = {}
        unchanged = set()
        for name in columns[:count]:
            kind = self.letter()
            if kind == "u":
                unchanged.add(name)
            elif kind == "n":
                values[name] = None
            else:
                (size,) = self.take(">I")
                values[name] = self.bytes(size).decode()
        return values, frozenset(unchanged)
