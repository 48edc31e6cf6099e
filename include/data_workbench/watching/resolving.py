"""From rows of the log to changes: what a row was before, where the log itself does not say it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from data_workbench.connectors.postgres.redaction import is_redacted
from data_workbench.errors import StateError
from data_workbench.journal.watched import Found
from data_workbench.metastore import watches
from data_workbench.metastore.watches import Kept
from data_workbench.records.values import key_text
from data_workbench.watching.noting import Notebook, differing, hash_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from data_workbench.connectors.postgres.pgoutput import Begin, RowChange, Values

_AT_ONCE: Final = 4_096
"""Changes whose rows are looked up together."""


@dataclass
class Resolver:
    """Notes the changes of one table.

    With REPLICA IDENTITY FULL the log has each row before. Of other tables a row is kept as it was seen last, so the
    first change of a row has no `before`.
    """

    notebook: Notebook
    told: int = 0
    _pending: list[tuple[Begin, RowChange | Mapping[str, Any]]] = field(default_factory=list)

    def take(self, session: Connection, begun: Begin, change: RowChange) -> None:
        """A change of the transaction that began."""
        self._pending.append((begun, change))
        if len(self._pending) >= _AT_ONCE:
            self._resolve(session)

    def say(self, session: Connection, begun: Begin, said: Mapping[str, Any]) -> None:  # noqa: ARG002  # like `take`
        """Who made the changes of a transaction."""
        self._pending.append((begun, said))

    def read_up_to(self, session: Connection) -> str | None:
        """The position in the log that the table was read up to; None before the first look."""
        return (watches.position_of(session, self.notebook.watch) or {}).get("log")

    def gap(self, session: Connection, detail: str, upto: str) -> None:
        """What happened up to a position is not known; nor is what rows were before."""
        from datetime import UTC, datetime

        watches.empty(session, self.notebook.watch)
        self.notebook.befall(session, "gap", datetime.now(UTC).isoformat(), detail=detail)
        self.notebook.flush(session)
        watches.move(session, self.notebook.watch, {"log": upto}, 0)

    def finish(self, session: Connection, reached: str) -> None:
        """Write what is left, and up to where the table was looked at."""
        self._resolve(session)
        self.notebook.flush(session)
        watches.move(session, self.notebook.watch, {"log": reached}, self.notebook.found)
        self.told += self.notebook.found
        self.notebook.found = 0

    def _resolve(self, session: Connection) -> None:
        pending, self._pending = self._pending, []
        changes = [one for _, one in pending if not isinstance(one, Mapping)]
        names = {name for one in changes for name in self._names(one) if not one.is_whole}
        known: dict[str, Kept | None] = {**watches.kept_rows(session, self.notebook.watch, names)} if names else {}
        kept: dict[str, Kept | None] = {}
        for begun, one in pending:
            if isinstance(one, Mapping):
                said = json.dumps(dict(one))
                self.notebook.befall(session, "note", begun.at.isoformat(), xid=begun.lsn, detail=said)
            elif one.operation == "truncate":
                self.notebook.befall(session, "truncate", begun.at.isoformat(), xid=begun.lsn)
                watches.empty(session, self.notebook.watch)
                known, kept = {}, {}
            else:
                for name, now in self._change(session, begun, one, known):
                    if not one.is_whole:
                        known[name] = kept[name] = now
        if kept:
            watches.keep_rows(session, self.notebook.watch, kept)

    # ------------------------------------------------------------------------------------------------- one change

    def _names(self, change: RowChange) -> set[str]:
        if change.operation == "truncate":
            return set()
        told = [one for one in (change.before, change.key, change.after) if one is not None]
        return {key_text(self._key(one)) for one in told}

    def _key(self, values: Values) -> dict[str, str | None]:
        try:
            return {name: values[name] for name in self.notebook.watch.key}
        except KeyError as error:
            raise StateError(
                f"the log does not tell column {error.args[0]!r} of {self.notebook.watch.stream}, which is of its key",
                hint="leave `key` out in the file of watches, or ALTER TABLE … REPLICA IDENTITY FULL",
            ) from None

    def _visible(self, values: Values, table: str) -> dict[str, str | None]:
        chosen = self.notebook.spec.columns
        return {
            name: value
            for name, value in values.items()
            if (chosen is None or name in chosen) and not is_redacted(table, name)
        }

    def _change(
        self, session: Connection, begun: Begin, change: RowChange, known: Mapping[str, Kept | None]
    ) -> list[tuple[str, Kept | None]]:
        """Note it; what is to be known of its keys from now on."""
        old = change.before or change.key
        if change.operation == "insert":
            return self._appears(session, begun, change)
        if change.operation == "delete":
            assert old is not None
            return self._goes(session, begun, change, old, known)
        if old is not None and change.after is not None and self._key(old) != self._key(change.after):
            return self._goes(session, begun, change, old, known) + self._appears(session, begun, change)
        return self._changes(session, begun, change, known)

    def _appears(self, session: Connection, begun: Begin, change: RowChange) -> list[tuple[str, Kept | None]]:
        assert change.after is not None
        key, after = self._key(change.after), self._visible(change.after, change.relation.name)
        hashed = None if change.unchanged else hash_of(after)
        found = Found("insert", begun.at.isoformat(), xid=begun.lsn, hash_after=hashed,
                      row_after=self.notebook.shown(after), actor=self.notebook.actor(after))  # fmt: skip
        self.notebook.change(session, key, found)
        return [(key_text(key), None if hashed is None else Kept(hashed, self.notebook.kept(after)))]

    def _goes(
        self, session: Connection, begun: Begin, change: RowChange, old: Values, known: Mapping[str, Kept | None]
    ) -> list[tuple[str, Kept | None]]:
        key = self._key(old)
        before = self._before(change, known.get(key_text(key)))
        found = Found("delete", begun.at.isoformat(), xid=begun.lsn, hash_before=before[0],
                      row_before=self.notebook.shown(before[1]))  # fmt: skip
        self.notebook.change(session, key, found)
        return [(key_text(key), None)]

    def _changes(
        self, session: Connection, begun: Begin, change: RowChange, known: Mapping[str, Kept | None]
    ) -> list[tuple[str, Kept | None]]:
        assert change.after is not None
        key = self._key(change.after)
        hashed, before = self._before(change, known.get(key_text(key)))
        after = self._visible(change.after, change.relation.name)
        hidden = self.notebook.hidden
        filled = {name for name in change.unchanged if before is not None and name in before and name not in hidden}
        after |= {name: before[name] for name in filled if before is not None}
        left = {name for name in change.unchanged - filled if self._visible({name: None}, change.relation.name)}
        now = None if left else hash_of(after)
        if now is not None and now == hashed:
            return []  # only columns that are not watched
        unseen = left if change.is_whole else left | hidden
        found = Found("update", begun.at.isoformat(), xid=begun.lsn, hash_before=hashed, hash_after=now,
                      row_before=self.notebook.shown(before), row_after=self.notebook.shown(after),
                      changed=None if before is None else differing(before, after, unseen),
                      actor=self.notebook.actor(after))  # fmt: skip
        self.notebook.change(session, key, found)
        return [(key_text(key), None if now is None else Kept(now, self.notebook.kept(after)))]

    def _before(self, change: RowChange, kept: Kept | None) -> tuple[int | None, dict[str, Any] | None]:
        """Hash and row before, by the log or as it was seen last."""
        if change.before is not None:
            row = self._visible(change.before, change.relation.name)
            return hash_of(row), row
        return (None, None) if kept is None else (kept.hash, kept.row)
