"""OpenLineage events of what is done to stores beside pipelines: archives, backups, restores, checks.

    job                              from                    to
    archive__<policy>.archive        the table               the policy's folder
    archive__<policy>.restore        the policy's folder     the table
    backup__stores.create            every stream in a set   the repository
    backup__stores.restore           the repository          every stream restored
    backup__stores.verify            the repository          nothing
    check__<contract>.check          the dataset             nothing; what held and what did not

Events go to the outbox alone, so nothing here fails or waits; the next run, or `deliver_lineage`, hands them out.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from data_workbench.errors import WorkbenchError
from data_workbench.lineage import Assertion, DatasetName, JobKind, LineageDataset, Outbox, StageRun, source_name
from data_workbench.quality.scoring import column_of, kind_of

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader
    from data_workbench.backup.creation import Creation
    from data_workbench.backup.manifest import Manifest
    from data_workbench.backup.restoring import Target
    from data_workbench.connectors.connections import Connections
    from data_workbench.quality.standalone.model import StandaloneContract
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

STORES: Final = "stores"
"""The name of backups' jobs: one repository, whatever is in a set."""


@dataclass
class Moved:
    """What the block read and wrote; it may fill in what it only knows at its end."""

    version: str
    """Of what is written: the run's id here, or what the block says."""
    inputs: Sequence[LineageDataset] = ()
    outputs: Sequence[LineageDataset] = ()


@contextmanager
def told(
    settings: Settings,
    kind: JobKind,
    name: str,
    verb: str,
    *,
    inputs: Sequence[LineageDataset] = (),
    outputs: Sequence[LineageDataset] = (),
    owner: str | None = None,
) -> Iterator[Moved]:
    """START before the block, COMPLETE or FAIL after it, of job `<kind>__<name>.<verb>`."""
    outbox, now = Outbox(settings), datetime.now(UTC)
    run = StageRun(name, f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}", verb, now, owner=owner, kind=kind)
    moved = Moved(run.run_id, inputs, outputs)
    outbox.tell("START", run, inputs=inputs, outputs=outputs)
    try:
        yield moved
    except BaseException as error:
        outbox.tell("FAIL", run, inputs=moved.inputs, outputs=moved.outputs, error=error)
        raise
    else:
        outbox.tell("COMPLETE", run, inputs=moved.inputs, outputs=moved.outputs)
    finally:
        outbox.close()


def assertions(checks: Iterable[Mapping[str, Any]]) -> list[Assertion]:
    """Results of checks, those left out that could not be made: they neither held nor failed."""
    return [
        Assertion(
            rule=kind_of(one),
            name=one["name"],
            success=one["outcome"] == "passed",
            column=column_of(one),
            severity="warn" if one["level"] == "warn" else "error",
            failing=one["failing"],
        )
        for one in checks
        if one["outcome"] != "not_evaluated"
    ]


def place_of(address: str, *parts: str) -> DatasetName:
    """A folder below an address, as OpenLineage calls files."""
    found = urlsplit(address)
    below = "/".join(parts)
    if not found.scheme or found.scheme == "file":
        return DatasetName("file", f"{found.path.rstrip('/')}/{below}".rstrip("/"))
    return DatasetName(f"{found.scheme}://{found.netloc}", f"{found.path.strip('/')}/{below}".strip("/"))


# -------------------------------------------------------------------------------------------------------- backups


@contextmanager
def backup_created(creation: Creation) -> Iterator[list[Manifest]]:
    """Tell of a set in the making; the block puts the finished manifest into the list it is given."""
    repository = LineageDataset(place_of(creation.vault.address, "sets"))
    with told(creation.settings, "backup", STORES, "create", outputs=[repository]) as moved:
        made: list[Manifest] = []
        yield made
        [manifest] = made
        moved.inputs = of_set(manifest, creation.connections, creation.settings)
        moved.outputs = [replace(repository, version=manifest.set, bytes=manifest.stored)]


@contextmanager
def backup_restored(
    reader: Reader, connections: Connections, settings: Settings, target: Target, names: Sequence[str]
) -> Iterator[None]:
    """Tell of stores that come back from a set, where they come back in place or into another server."""
    repository = LineageDataset(place_of(reader.vault.address, "sets"), version=reader.manifest.set)
    outputs = of_set(reader.manifest, connections, settings, names=names, into=target.into)
    outputs = [] if target.beside else outputs  # the databases made for it have no connection
    with told(settings, "backup", STORES, "restore", inputs=[repository], outputs=outputs):
        yield


@contextmanager
def backup_verified(reader: Reader, settings: Settings) -> Iterator[dict[str, Any]]:
    """Tell of a set that is checked; the block puts the report into the mapping it is given."""
    repository = LineageDataset(place_of(reader.vault.address, "sets"), version=reader.manifest.set)
    with told(settings, "backup", STORES, "verify", inputs=[repository]) as moved:
        report: dict[str, Any] = {}
        yield report
        held = Assertion("backup", f"{report['kind']} of set {report['set']}", report["outcome"] == "passed")
        moved.inputs = [replace(repository, assertions=[held])]


def of_set(
    manifest: Manifest,
    connections: Connections,
    settings: Settings,
    *,
    names: Sequence[str] | None = None,
    into: Mapping[str, str] | None = None,
) -> list[LineageDataset]:
    """The streams of a set's stores; one that cannot be named is left out, and told in the log.

    The metastore's own tables are no datasets of anybody's.

    Args:
        names: of these stores alone.
        into: other connections, by store.
    """
    found = []
    for name, store in manifest.stores.items():
        if store.kind in ("definitions", "cluster") or store.connection == settings.metastore:
            continue
        if names is not None and name not in names:
            continue
        place = (into or {}).get(name, store.connection)
        for stream, content in store.streams.items():
            if stream.startswith("("):  # of the whole store
                continue
            try:
                made = source_name(connections.get(place), stream)
            except WorkbenchError as error:
                log.warning("lineage leaves %s of %s out: %s", stream, name, error.message)
                continue
            found.append(LineageDataset(made, rows=content.count, version=manifest.set))
    return found


# --------------------------------------------------------------------------------------------------------- checks


@contextmanager
def contract_checked(
    contract: StandaloneContract, connections: Connections, settings: Settings
) -> Iterator[list[Mapping[str, Any]]]:
    """Tell of a dataset that is held against its contract; the block puts the results into the list it is given."""
    read: list[LineageDataset] = []
    try:
        read.append(LineageDataset(source_name(connections.get(contract.connection), contract.stream)))
    except WorkbenchError as error:
        log.warning("lineage leaves %s out: %s", contract.dataset, error.message)
    with told(settings, "check", contract.contract, "check", inputs=read, owner=contract.owner) as moved:
        results: list[Mapping[str, Any]] = []
        yield results
        moved.inputs = [replace(one, assertions=assertions(results)) for one in read]
