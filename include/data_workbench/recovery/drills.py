"""The drill: a set is restored into empty servers of this machine, and everything is compared with the manifest.

What passed here will come back. A store these servers cannot take (another extension, a newer version) is said to be
not verified, with what is missing: that is no failure of the set, and no proof of it either.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.backup.content import Reader
from data_workbench.backup.restoring import Restoring, Target
from data_workbench.connectors.connections import Connection, Connections, from_environment
from data_workbench.errors import StateError, Unsupported, WorkbenchError
from data_workbench.recovery.point_in_time import PointInTime, ended
from data_workbench.servers.scratch import scratch_stack

if TYPE_CHECKING:
    from data_workbench.backup.manifest import StoredStore
    from data_workbench.metastore.backups import Outcome
    from data_workbench.servers import Stack
    from data_workbench.settings import Settings

_SERVICES = {"postgres": "postgres", "neo4j": "neo4j", "qdrant": "qdrant"}
_CONNECTIONS = {"postgres": "ODRAS_POSTGRES", "neo4j": "ODRAS_NEO4J", "qdrant": "ODRAS_QDRANT"}


@dataclass
class DrillReport:
    """What came back, store by store; `seconds` is the measured time to recover, servers' start included."""

    stores: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """Failed if a store failed; passed only if every store did."""
        found = {one["outcome"] for one in self.stores.values()}
        return "failed" if "failed" in found else "not_verified" if "not_verified" in found else "passed"

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        return {"outcome": self.outcome, "seconds": self.seconds, "stores": self.stores}


@dataclass(frozen=True)
class Drill:
    """A set, and the settings whose downloads the servers share."""

    reader: Reader
    settings: Settings

    def run(self, stores: Sequence[str] = ()) -> DrillReport:
        """Restore these stores of the set, or all.

        Raises:
            AccessDenied: the identity does not open the set.
            StoreUnavailable: a server does not start.
        """
        self.reader.require_key()
        manifest = self.reader.manifest
        names = [name for name in manifest.stores if not stores or name in stores]
        services = {_SERVICES[one.kind] for name in names if (one := manifest.stores[name]).kind in _SERVICES}
        report = DrillReport()
        started = time.monotonic()
        with ExitStack() as held:
            stack = held.enter_context(scratch_stack(self.settings, sorted(services))) if services else None
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="workbench-drill-")))
            for number, name in enumerate(names):
                report.stores[name] = self._restore(name, number, stack, folder)
        report.seconds = round(time.monotonic() - started, 3)
        return report

    def _restore(self, name: str, number: int, stack: Stack | None, folder: Path) -> dict[str, Any]:
        stored = self.reader.manifest.stores[name]
        if stored.kind == "cluster":
            return self._start(stored)
        into = {} if stored.kind == "definitions" else {name: name}
        connections = Connections(lambda wanted: _scratch(wanted, stored.kind, number, stack))
        target = Target(into=into, folder=folder / str(number))
        started = time.monotonic()
        try:
            done = Restoring(self.reader, connections, target).restore([name])
        except Unsupported as error:
            return {"outcome": "not_verified", "reason": f"{error.message}; needs: {error.hint}", "streams": 0}
        except StateError as error:
            return {"outcome": "failed", "reason": error.message, "streams": 0}
        except WorkbenchError as error:
            return {"outcome": "failed", "reason": f"{error.kind}: {error.message}", "streams": 0}
        seconds = round(time.monotonic() - started, 3)
        return {"outcome": "passed", "reason": None, "streams": done[name]["streams"], "seconds": seconds}

    def _start(self, stored: StoredStore) -> dict[str, Any]:
        """Start the base backup, as PostgreSQL's own check finds it, and play the log to its end."""
        started = time.monotonic()
        to = ended(stored)
        moment = PointInTime(self.reader.vault, self.reader.keyring, self.settings, to)
        try:
            with moment.recovered(self.reader.manifest, stored, whole=True) as live:
                streams = sum(len(one.described().streams) for one in live.values())
        except Unsupported as error:
            return {"outcome": "not_verified", "reason": f"{error.message}; needs: {error.hint}", "streams": 0}
        except WorkbenchError as error:
            return {"outcome": "failed", "reason": f"{error.kind}: {error.message}", "streams": 0}
        seconds = round(time.monotonic() - started, 3)
        return {"outcome": "passed", "reason": None, "streams": streams, "seconds": seconds}


def _scratch(wanted: str, kind: str, number: int, stack: Stack | None) -> Connection | None:
    """The scratch server of a kind, under the store's name; every database has one of its own."""
    if stack is None or kind not in _CONNECTIONS:
        return None
    found = from_environment(_CONNECTIONS[kind], stack.environment())
    assert found is not None
    return replace(found, id=wanted, database=f"drill_{number}" if kind == "postgres" else found.database)
