"""One pass over all watches: new ones begin, changes are told, and those that are gone from the file end."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.connectors.powers import CanCapture
from data_workbench.connectors.registry import open_source
from data_workbench.errors import Unsupported, UsageError, WorkbenchError
from data_workbench.metastore import watches
from data_workbench.watching.comparing import ComparingPass
from data_workbench.watching.log import LogPass
from data_workbench.watching.noting import Notebook
from data_workbench.watching.resolving import Resolver

if TYPE_CHECKING:
    from data_workbench.connectors.base import Source, Stream
    from data_workbench.connectors.connections import Connection, Connections
    from data_workbench.connectors.postgres.capture import Capture
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings
    from data_workbench.watching.definition import WatchedStream, Watches

log = logging.getLogger(__name__)


@dataclass
class Pass:
    """What a pass came to.

    Args:
        found: changes by CONNECTION:STREAM; what was not looked at is not there.
        ended: streams that are watched no longer.
        troubles: what could not be watched, and why.
    """

    found: dict[str, int] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"found": self.found, "ended": self.ended, "troubles": self.troubles}


@dataclass(frozen=True)
class Watcher:
    """Looks at what is watched.

    Args:
        classified: columns of CONNECTION:STREAM whose values are not kept.
        named: a stream as OpenLineage calls it: namespace and name.
        met: told of each stream as it is now.
    """

    store: Metastore
    connections: Connections
    settings: Settings
    classified: Callable[[str], frozenset[str]]
    named: Callable[[Connection, str], tuple[str, str]]
    met: Callable[[str, Stream], None]

    def run(self, asked: Watches) -> Pass:
        """Look once at everything; trouble with one connection leaves the others alone."""
        done, pass_id = Pass(), f"watch-{uuid.uuid4()}"
        self._end(asked, done)
        by_connection = sorted(asked.watches, key=lambda one: one.connection)
        for connection_id, found in groupby(by_connection, key=lambda one: one.connection):
            specs = list(found)
            with _told(done, *(one.address for one in specs)):
                connection = self.connections.get(connection_id)
                with open_source(connection, self.settings) as source:
                    self._look(_Place(self, connection, source, pass_id), specs, asked, done)
        return done

    def _look(self, place: _Place, specs: Sequence[WatchedStream], asked: Watches, done: Pass) -> None:
        for one in specs:
            if one.how != "wal":
                with _told(done, one.address):
                    stream, notebook = place.begin(one)
                    ComparingPass(self.store, place.source, stream, notebook, self.settings).run()
                    done.found[one.address] = notebook.found
        logged = [one for one in specs if one.how == "wal"]
        if not logged:
            return
        resolvers = {}
        for one in logged:
            with _told(done, one.address):
                stream, notebook = place.begin(one)
                resolvers[parse_relation(stream.name)] = Resolver(notebook)
        with _told(done, *(one.address for one in logged)), place.capture(asked.slot) as capture:
            if resolvers:
                LogPass(self.store, place.connection.id, capture, resolvers, asked.retained).run()
        for resolver in resolvers.values():
            address = resolver.notebook.spec.address
            if address not in done.troubles:
                done.found[address] = resolver.told

    def _end(self, asked: Watches, done: Pass) -> None:
        """End watches that are gone from the file; slots first, as they cost their server's disk."""
        wanted = {(one.connection, one.how == "wal") for one in asked.watches}
        for connection_id, own in watches.slots(self.store).items():
            if (connection_id, True) in wanted and own.slot == asked.slot:
                continue
            with _told(done, f"slot {own.slot} of {connection_id}"):
                connection = self.connections.get(connection_id)
                with (
                    open_source(connection, self.settings) as source,
                    _Place(self, connection, source, "").capture(own.slot) as capture,
                ):
                    capture.drop()
                watches.forget_slot(self.store, connection_id)
                log.info("slot %s of %s is dropped: nothing there is watched any more", own.slot, connection_id)
        addresses = {one.address for one in asked.watches}
        for watch in watches.listed(self.store):
            address = f"{watch.connection}:{watch.stream}"
            if address not in addresses:
                watches.forget(self.store, watch)
                done.ended.append(address)


@dataclass(frozen=True)
class _Place:
    """A connection in one pass."""

    watcher: Watcher
    connection: Connection
    source: Source
    pass_id: str

    def begin(self, spec: WatchedStream) -> tuple[Stream, Notebook]:
        """The stream as it is now, and where its changes are noted."""
        stream = self.source.describe(spec.stream)
        key = list(spec.key or stream.key)
        if not key:
            raise UsageError(f"{spec.address} has no key", hint="name its key in the file of watches: key: [column]")
        wanted = [*key, *(spec.columns or ()), *(spec.mask or ()), *([spec.actor] if spec.actor else [])]
        missing = sorted(set(wanted) - set(stream.schema.names))
        if missing:
            raise UsageError(
                f"{spec.address} has no column {missing[0]!r}", hint=f"it has {', '.join(stream.schema.names[:40])}"
            )
        self.watcher.met(spec.connection, stream)
        namespace, name = self.watcher.named(self.connection, stream.name)
        found = {"connection": spec.connection, "stream": spec.stream, "dataset": _dataset(stream), "how": spec.how,
                 "key": key, "namespace": namespace, "name": name}  # fmt: skip
        hidden = self.watcher.classified(f"{spec.connection}:{stream.name}") | set(spec.mask or ())
        watch = watches.register(self.watcher.store, found)
        kind = _KINDS.get(stream.kind, stream.kind)
        return stream, Notebook(watch, spec, frozenset(hidden), self.pass_id, self.connection.kind, kind)

    @contextmanager
    def capture(self, slot: str) -> Iterator[Capture]:
        """The log behind the connection."""
        if not isinstance(self.source, CanCapture):
            raise Unsupported(
                f"connection {self.connection.id!r} ({self.connection.kind}) tells no changes of its own",
                hint="use `how: compare`, or `how: cursor`",
            )
        found = self.source.capture(slot)
        try:
            yield found
        finally:
            found.close()


_KINDS: Mapping[str, str] = {"label": "node", "relationship type": "relationship", "alias": "collection"}


def _dataset(stream: Stream) -> str:
    """As the journal calls what a pipeline writes there."""
    return f"({stream.name})" if stream.kind == "label" else stream.name


@contextmanager
def _told(done: Pass, *addresses: str) -> Iterator[None]:
    """Within, trouble is told of these and stops nothing else."""
    try:
        yield
    except WorkbenchError as error:
        told = f"{error.message}; {error.hint}" if error.hint else error.message
        log.warning("%s: %s", ", ".join(addresses), told)
        done.troubles |= dict.fromkeys(addresses, told)
