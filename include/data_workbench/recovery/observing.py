"""Looking at a repository: its sets, how far stores can go back, its room. It reads, and needs no identity."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from data_workbench.audit import Keys, open_keys
from data_workbench.backup.creation import summary
from data_workbench.backup.judging import Observation, ObservedLock, ObservedLog, ObservedSet
from data_workbench.backup.keys import Keyring
from data_workbench.backup.pgbackrest_export import expired, gone, is_referred, reference
from data_workbench.connectors.files.failures import translated
from data_workbench.errors import StateError, WorkbenchError
from data_workbench.metastore import backups
from data_workbench.recovery.certificates import read
from data_workbench.recovery.point_in_time import FORWARD, ended, log_of

if TYPE_CHECKING:
    from data_workbench.backup.manifest import Manifest
    from data_workbench.backup.vault import Vault
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings

SHOWN: Final = 90
"""Sets that are told one by one, the newest."""


def observe(vault: Vault, settings: Settings, metastore: Metastore | None = None) -> Observation:
    """A repository as it is now; of one that cannot be reached, as it was when it could.

    Args:
        metastore: knows of tries that failed before they left anything in the repository.
    """
    now = datetime.now(UTC)
    try:
        with translated(f"the backup repository {vault.address}"):
            return _observed(vault, settings, metastore, now)
    except WorkbenchError as error:
        known = backups.state_of(metastore, vault.address) if metastore is not None else None
        seen = Observation.model_validate(known.state) if known else Observation(address=vault.address, at=now)
        return seen.model_copy(update={"at": now, "free": None, "unreachable": error.message})


def _observed(vault: Vault, settings: Settings, metastore: Metastore | None, now: datetime) -> Observation:
    if not vault.exists:
        before = backups.state_of(metastore, vault.address) if metastore is not None else None
        if before is not None and before.state.get("repository"):
            raise StateError("it is not there any more: a disk that is not mounted?", hint="bring it back")
        return Observation(address=vault.address, at=now, free=vault.place.free())
    unreadable: dict[str, str] = {}
    manifests = vault.manifests(broken=lambda name, error: unreadable.update({name: error.message}))
    keys = open_keys(settings)
    chunks = {name: facts.stored for one in manifests for name, facts in one.chunks.items()}
    return Observation(
        address=vault.address,
        at=now,
        repository=vault.id,
        free=vault.place.free(),
        stored=sum(chunks.values()),
        sets=tuple(_told(vault, one, keys, now) for one in reversed(manifests[-SHOWN:])),
        unreadable=unreadable,
        expired=_expired(manifests[-SHOWN:], settings),
        log=_log(vault, manifests, settings),
        attempts=_attempts(metastore, vault.id),
    )


def _expired(manifests: list[Manifest], settings: Settings) -> dict[str, str]:
    """Sets whose backup pgBackRest has no more, with the words; asked where this installation works with it."""
    if not settings.pgbackrest:
        return {}
    stores = [(one.set, store) for one in manifests for store in one.stores.values() if is_referred(store)]
    try:
        lost = expired(store for _, store in stores)
    except WorkbenchError:
        return {}  # making the next set tells it
    return {name: gone(store) for name, store in stores if reference(store) in lost}


def _told(vault: Vault, manifest: Manifest, keys: Keys | None, now: datetime) -> ObservedSet:
    short, until = summary(manifest), manifest.locked_until
    lock = vault.lock_of_set(manifest.set) if until is not None and until > now else None
    return ObservedSet(
        set=manifest.set,
        at=manifest.recovery_point.at,
        purpose=manifest.purpose,
        seconds=round((manifest.finished - manifest.created).total_seconds(), 3),
        bytes=manifest.size,
        stored=manifest.stored,
        new_bytes=manifest.new_bytes,
        fence_ms=manifest.recovery_point.fence_ms,
        counts={name: one["count"] for name, one in short["stores"].items() if one["kind"] != "cluster"},
        moved=tuple(name for name, one in manifest.stores.items() if one.moved),
        left_out=manifest.left_out,
        verified=_verified(vault, manifest.set, keys),
        locked_until=until,
        lock=ObservedLock(mode=lock.mode.lower(), until=lock.until) if lock is not None else None,
    )


def _verified(vault: Vault, set_id: str, keys: Keys | None) -> dict[str, Any] | None:
    """The latest verification in short; the certificate of a drill outlives checks of hashes that pass."""
    report = vault.verification(set_id)
    content = vault.certificate(set_id)
    if content is not None and (report is None or (report.get("kind"), report.get("outcome")) == ("hashes", "passed")):
        try:
            told = read(content, keys)
        except StateError:
            return {"kind": "drill", "outcome": "failed", "checked": None, "reason": "its certificate is not as signed"}
        checked = told["issued"].replace("Z", "+00:00")
        reason = next((one["reason"] for one in told["stores"].values() if one["reason"]), None)
        return {"kind": "drill", "outcome": told["outcome"], "checked": checked, "reason": reason}
    if report is None:
        return None
    drilled = (report.get("drill") or {}).get("stores", {})
    reason = next((one["reason"] for one in drilled.values() if one.get("reason")), None)
    return {**{name: report.get(name) for name in ("kind", "outcome", "checked", "seconds")}, "reason": reason}


def _log(vault: Vault, manifests: list[Manifest], settings: Settings) -> ObservedLog | None:
    """How far the log of the server in WORKBENCH_POINT_IN_TIME goes; None where none is kept."""
    if not settings.point_in_time:
        return None
    found = [
        (manifest, store)
        for manifest in manifests
        for store in manifest.stores.values()
        if store.kind == "cluster" and store.connection == settings.point_in_time
    ]
    if not found:
        return ObservedLog(connection=settings.point_in_time)
    newest, cluster = found[-1]
    system = cluster.details["system_identifier"]
    others = [one for _, one in found if is_referred(one) == is_referred(cluster)]
    position = log_of(vault, Keyring(()), cluster).position()
    same = [ended(store) for store in others if store.details["system_identifier"] == system]
    stores = [name for name, one in newest.stores.items() if one.details.get("system_identifier") == system]
    return ObservedLog(
        connection=settings.point_in_time,
        stores=tuple(name for name in stores if newest.stores[name].kind == "postgres"),
        followers=tuple(name for name, one in newest.stores.items() if one.kind in FORWARD),
        begin=min(same),
        end=position.time if position else None,
    )


def _attempts(metastore: Metastore | None, repository: str) -> tuple[dict[str, Any], ...]:
    if metastore is None:
        return ()
    return tuple(
        {"set": one.set_id, "state": one.state, "started": one.started.isoformat(), "error": one.error}
        for one in backups.attempts(metastore, repository=repository, limit=10)
    )
