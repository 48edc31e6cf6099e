"""One pass over the log of a PostgreSQL database: what is new since the last one, up to now.

What a batch of transactions says goes into the journal in one transaction of the metastore, with the position; then the
slot is moved on. Killed before the first, nothing was told; between the two, the slot tells the batch again, and the
position says that it is known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from data_workbench.connectors.postgres.capture import Capture, Slot, lsn_number, lsn_text
from data_workbench.connectors.postgres.notes import PREFIX
from data_workbench.connectors.postgres.pgoutput import Begin, Commit, Note, RowChange
from data_workbench.errors import StateError, StoreBusy
from data_workbench.events import emit
from data_workbench.metastore import watches
from data_workbench.watching.resolving import Resolver

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from data_workbench.connectors.postgres.names import Relation
    from data_workbench.metastore import Metastore

LOOK_EVERY = 5.0
"""Seconds between two looks at how much log is held back, while it is read."""
_AT_ONCE: Final = 20_000
"""Messages of one transaction of the metastore, if transactions of the log allow."""
_SAID: Final = frozenset({"run_id", "pipeline", "actor", "reason"})


@dataclass
class LogPass:
    """Reads the log behind one connection.

    Args:
        resolvers: of the watched tables.
        retained: bytes of log that a slot may hold back.
    """

    store: Metastore
    connection_id: str
    capture: Capture
    resolvers: Mapping[Relation, Resolver]
    retained: int

    def run(self) -> None:
        """Tell what is new.

        Raises:
            StateError: the slot is somebody else's.
            StoreBusy: another watcher is at it.
        """
        self._prepare()
        self._tell_left_out()
        try:
            self._consume(self.capture.now(), self._room())
        finally:
            self._guard()

    # ---------------------------------------------------------------------------------------------------- the slot

    def _prepare(self) -> None:
        known = watches.slots(self.store).get(self.connection_id)
        slot = self.capture.look()
        if slot is not None and known is None:
            raise StateError(
                f"slot {self.capture.slot!r} is there, but not by this metastore",
                hint="give another `slot` in the file of watches, or drop it: select pg_drop_replication_slot(…)",
            )
        if slot is not None and slot.is_lost:
            self.capture.drop()
            slot = None
        self.capture.publish(list(self.resolvers))
        position = known.position if known is not None else None
        if slot is None:
            watches.claim_slot(self.store, self.connection_id, self.capture.slot)
            emit("watch.claimed", connection=self.connection_id)
            made = self.capture.create()
            emit("watch.created", connection=self.connection_id)
            self._begin(made, position, "the slot was lost: it had held back too much log, or somebody dropped it")
        elif position is None:  # made by a watcher that was killed before it could say so
            self._begin(slot.confirmed, None, "")
        elif slot.confirmed > lsn_number(position):
            self._begin(slot.confirmed, position, "the metastore went back to an earlier state")

    def _begin(self, made: int, before: str | None, why: str) -> None:
        with self.store.transaction() as session:
            self._hold(session)
            if before is not None:
                detail = f"{why}; unknown is what was committed between {before} and {lsn_text(made)}"
                for one in self.resolvers.values():
                    one.gap(session, detail, lsn_text(made))
            watches.move_slot(session, self.connection_id, lsn_text(made))

    def _tell_left_out(self) -> None:
        """The log went on without a table that could not be watched for a while: what befell it then is not known."""
        with self.store.transaction() as session:
            self._hold(session)
            position = watches.slot_position(session, self.connection_id)
            for one in self.resolvers.values():
                read = one.read_up_to(session)
                if read is not None and lsn_number(read) < lsn_number(position):
                    why = f"it could not be watched; unknown is what was committed between {read} and {position}"
                    one.gap(session, why, position)

    def _room(self) -> _Room:
        """How much may be held back while it is read: where it was more before the pass, so much on top of that."""
        slot = self.capture.look()
        before = slot.retained if slot is not None else 0
        return _Room(self.capture, self.retained if before <= self.retained else before + self.retained)

    def _guard(self) -> None:
        """Give the server its log back before it takes the disk; the next pass tells the gap."""
        slot: Slot | None = self.capture.look()
        if slot is not None and slot.retained > self.retained and not slot.active:
            self.capture.drop()

    def _hold(self, session: Connection) -> None:
        if not watches.hold(session, self.connection_id):
            raise StoreBusy(f"another watcher reads the log of {self.connection_id!r}", hint="wait for it to end")

    # --------------------------------------------------------------------------------------------------- the changes

    def _consume(self, upto: int, room: _Room) -> None:
        while True:
            with self.store.transaction() as session:
                self._hold(session)
                position = watches.slot_position(session, self.connection_id)
                batch = _Batch(session, self.resolvers, lsn_number(position))
                count = 0
                with closing(self.capture.peek(upto, most=_AT_ONCE)) as messages:
                    for message in messages:
                        batch.take(message)
                        count += 1
                        room.check()
                is_last = count < _AT_ONCE
                reached = max(upto, batch.reached) if is_last else batch.reached
                batch.finish(lsn_text(reached))
                watches.move_slot(session, self.connection_id, lsn_text(reached))
                emit("watch.before_commit", connection=self.connection_id)
            emit("watch.after_commit", connection=self.connection_id)
            self.capture.advance(reached)
            if is_last:
                return


@dataclass
class _Room:
    """Looks every few seconds at how much log a slot holds back, while it is read.

    Args:
        most: bytes; more is given back to the server.
    """

    capture: Capture
    most: int
    _looked: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Look, if it is time.

        Raises:
            StateError: it is too much.
        """
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        held = self.capture.held_back()
        if held > self.most:
            raise StateError(
                f"slot {self.capture.slot!r} holds back {held:,} bytes of log while it is read, more than the"
                f" {self.most:,} bytes it may; it is dropped, and the next pass tells the gap",
                hint="look more often, end transactions that are open for long, or give `retained` more",
            )
        self._looked = time.monotonic()


@dataclass
class _Batch:
    """Whole transactions of the log on their way into one of the metastore."""

    session: Connection
    resolvers: Mapping[Relation, Resolver]
    position: int
    reached: int = 0
    _begun: Begin | None = None
    _said: dict[str, Any] = field(default_factory=dict)
    _touched: dict[Relation, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reached = self.position

    def take(self, message: Begin | Commit | RowChange | Note) -> None:
        match message:
            case Begin():
                self._begun, self._said, self._touched = message, {}, {}
            case Commit():
                self._end()
                self.reached = max(self.reached, message.end)
            case Note() if self._is_new and message.prefix == PREFIX:
                self._said |= _said(message.content)
            case RowChange() if self._is_new and message.relation in self.resolvers:
                assert self._begun is not None
                self._touched[message.relation] = None
                self.resolvers[message.relation].take(self.session, self._begun, message)

    @property
    def _is_new(self) -> bool:
        return self._begun is not None and self._begun.lsn >= self.position

    def _end(self) -> None:
        if self._begun is not None and self._said:
            for relation in self._touched:
                self.resolvers[relation].say(self.session, self._begun, self._said)
        self._begun = None

    def finish(self, reached: str) -> None:
        for one in self.resolvers.values():
            one.finish(self.session, reached)


def _said(content: bytes) -> dict[str, Any]:
    """What a writer says of itself; others may write anything under our prefix."""
    try:
        found = json.loads(content[:10_000])
    except (ValueError, RecursionError):
        return {}
    return {name: str(found[name])[:500] for name in _SAID if name in found} if isinstance(found, dict) else {}
