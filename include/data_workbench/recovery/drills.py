"""The drill: a set is restored into empty servers of this machine, and everything is compared with the manifest.

What passed here will come back. A store these servers cannot take (another extension, a newer version) is said to be
not verified, with what is missing: that is no failure of the set, and no proof of it either.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.backup.content import Reader
from data_workbench.backup.restoring import Restoring, Target
from data_workbench.connectors.connections import Connection, Connections, from_environment
from data_workbench.errors import StateError, Unsupported, WorkbenchError
from data_workbench.recovery.point_in_time import PointInTime, ended
from data_workbench.recovery.trials import Trial, Tried
from data_workbench.servers.programs import folder_of
from data_workbench.servers.scratch import scratch_folder, scratch_stack

if TYPE_CHECKING:
    from data_workbench.backup.manifest import StoredStore
    from data_workbench.metastore.backups import Outcome
    from data_workbench.servers import Stack
    from data_workbench.settings import Settings

_SERVICES = {"postgres": "postgres", "neo4j": "neo4j", "qdrant": "qdrant", "workbench_rdf": "fuseki"}
_CONNECTIONS = {
    "postgres": "ODRAS_POSTGRES",
    "neo4j": "ODRAS_NEO4J",
    "qdrant": "ODRAS_QDRANT",
    "workbench_rdf": "ODRAS_FUSEKI",
}
_FILES = "workbench_files"


@dataclass
class DrillReport:
    """What came back, store by store; `seconds` is the measured time to recover, servers' start included.

    `tried` is what was asked of the restored stores together; None where nothing came back.
    """

    stores: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    tried: Tried | None = None

    @property
    def outcome(self) -> Outcome:
        """Failed if a store failed; passed only if every store did."""
        found = {one["outcome"] for one in self.stores.values()}
        if self.tried is not None and self.tried.wrong:
            return "failed"
        return "failed" if "failed" in found else "not_verified" if "not_verified" in found else "passed"

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        tried = asdict(self.tried) if self.tried is not None else None
        return {"outcome": self.outcome, "seconds": self.seconds, "stores": self.stores, "tried": tried}


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
        report = DrillReport()
        started = time.monotonic()
        with (
            self._servers([manifest.stores[name] for name in names]) as servers,
            scratch_folder() as folder,
        ):
            scratch = {name: _scratch(name, manifest.stores[name], n, servers) for n, name in enumerate(names)}
            scratch |= {name: _empty_folder(name, folder) for name in names if manifest.stores[name].kind == _FILES}
            for name in names:
                report.stores[name] = self._restore(name, scratch[name], folder / "definitions")
            report.seconds = round(time.monotonic() - started, 3)
            passed = {name for name, one in report.stores.items() if one["outcome"] == "passed"}
            back = {name: one for name, one in scratch.items() if name in passed and one is not None}
            if back:
                definitions = folder / "definitions" if "definitions" in passed else None
                report.tried = Trial(back, self.settings, definitions, folder / "home").run()
        return report

    @contextmanager
    def _servers(self, stores: Sequence[StoredStore]) -> Iterator[Mapping[str, Stack]]:
        """Empty servers: one PostgreSQL for each major version there are programs of, under its number."""
        others = sorted({_SERVICES[one.kind] for one in stores if one.kind in _SERVICES} - {"postgres"})
        majors = {_major(one) for one in stores if one.kind == "postgres"}
        with ExitStack() as held:
            found = {"": held.enter_context(scratch_stack(self.settings, others))} if others else {}
            for major in sorted(majors):
                programs = folder_of(major)
                if programs is not None:
                    stack = scratch_stack(self.settings, ["postgres"], postgres=programs)
                    found[str(major)] = held.enter_context(stack)
            yield found

    def _restore(self, name: str, scratch: Connection | None, definitions: Path) -> dict[str, Any]:
        stored = self.reader.manifest.stores[name]
        if stored.kind == "cluster":
            return self._start(stored)
        if stored.kind == "postgres" and scratch is None:
            reason = f"not verified: needs PostgreSQL {_major(stored)}, whose programs are not at hand"
            return {"outcome": "not_verified", "reason": reason, "streams": 0}
        into = {} if stored.kind == "definitions" else {name: name}
        connections = Connections(lambda _: scratch)
        target = Target(into=into, folder=definitions, exactly=True)
        # By rows, which every server takes: a dump is for the server of this home alone.
        settings = replace(self.settings, file_roots="", backup_dump="")
        started = time.monotonic()
        try:
            done = Restoring(self.reader, connections, target, settings=settings).restore([name])
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


def _scratch(name: str, stored: StoredStore, number: int, servers: Mapping[str, Stack]) -> Connection | None:
    """The scratch server for a store, under its name; every database has one of its own. None if there is none."""
    is_postgres = stored.kind == "postgres"
    stack = servers.get(str(_major(stored)) if is_postgres else "")
    if stack is None or stored.kind not in _CONNECTIONS:
        return None
    found = from_environment(_CONNECTIONS[stored.kind], stack.environment())
    assert found is not None
    return replace(found, id=name, database=f"drill_{number}" if is_postgres else found.database)


def _empty_folder(name: str, folder: Path) -> Connection:
    place = Path(tempfile.mkdtemp(prefix="files-", dir=folder))
    return Connection(id=name, kind=_FILES, host=f"file://{place}")


def _major(stored: StoredStore) -> int:
    """The major version of the server a store is from."""
    return int(str(stored.version).partition(".")[0])
