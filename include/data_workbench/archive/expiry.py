"""Archives whose time is over are removed, unless a legal hold keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from data_workbench.archive import ledger, registration
from data_workbench.archive.holds import is_held
from data_workbench.archive.policy import Policy
from data_workbench.archive.running import Archiver
from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres.destination import SEARCH_PATH
from data_workbench.errors import StateError
from data_workbench.events import emit
from data_workbench.metastore import archives


@dataclass
class Expired:
    """Archives that went or would go, those kept by a hold, and rows that were live only there.

    `replaced`: archives that a larger one had replaced, whose files went with nothing in them that counts.
    """

    removed: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0


def expire(archiver: Archiver, *, now: datetime, policies: tuple[Policy, ...] = (), dry_run: bool = False) -> Expired:
    """Remove archives whose retention is over; of all policies that have archives.

    Args:
        policies: those that are defined now: one with `hold: true` holds all its archives.

    Raises:
        StateError: a manifest is damaged; it is not removed on the metastore's word.
        StoreBusy: another process archives, restores or expires the table.
    """
    done = Expired()
    holding = {one.archive for one in policies if one.hold}
    registered = archives.list_archives(archiver.metastore, shelf=archiver.shelf.id, states=("live", "restored"))
    for one in registered:
        if one.retained_until is None or one.retained_until > now:
            continue
        manifest = archiver.shelf.manifest(one.policy, one.archive)
        is_kept = one.policy.partition(".")[0] in holding or one.legal_hold
        if is_kept or (manifest is not None and is_held(archiver.shelf, manifest)):
            done.held.append(one.archive)
            continue
        if manifest is not None and (manifest.retained_until is None or manifest.retained_until > now):
            raise StateError(
                f"archive {one.archive}: the metastore says it may go on {one.retained_until:%Y-%m-%d}, its signed "
                f"manifest says {manifest.retained_until or 'never'}",
                hint="somebody changed the metastore; the manifest counts",
            )
        done.removed.append(one.archive)
        done.rows, done.bytes = done.rows + one.live, done.bytes + one.bytes
        if not dry_run:
            has_table = manifest is not None and bool(manifest.definition.get("iceberg"))
            _remove(archiver, one, has_table=has_table)
    _sweep(archiver, now, done, dry_run=dry_run)
    return done


def _remove(archiver: Archiver, one: archives.Archive, *, has_table: bool) -> None:
    """The database first: from then on nobody looks for rows there."""
    with _alone(archiver, one) as session:
        ledger.set_state(session, [one.archive], "expired")
        emit("archive.expired", archive=one.archive)
        if has_table:
            archiver.publish(session, one.policy)
        archiver.shelf.remove(one.policy, one.archive)
        emit("archive.removed", archive=one.archive)
        registration.retire(archiver.metastore, one.archive, "expired")


def _sweep(archiver: Archiver, now: datetime, done: Expired, *, dry_run: bool) -> None:
    """Remove files of what was replaced long enough ago, unless the database counts on them once more."""
    since = now - timedelta(days=archiver.settings.archive_replaced_days)
    there: dict[str, set[str]] = {}
    for one, changed in archives.replaced(archiver.metastore, shelf=archiver.shelf.id):
        is_over = one.retained_until is not None and one.retained_until <= now
        if changed > since and not is_over:
            continue
        if one.policy not in there:
            there[one.policy] = set(archiver.shelf.archives(one.policy))
        if one.archive not in there[one.policy]:
            continue
        if not dry_run:
            with _alone(archiver, one) as session:
                mark = ledger.noted(session, table=one.dataset).get(one.archive)
                if mark is not None and mark.state == "live":
                    continue
                archiver.shelf.remove(one.policy, one.archive)
                emit("archive.removed", archive=one.archive)
        done.replaced.append(one.archive)


@contextmanager
def _alone(archiver: Archiver, one: archives.Archive) -> Iterator[client.PatientConnection]:
    """The database of an archive, with its table locked. Raises StateError for another, and StoreBusy."""
    config = archiver.config_of(one.connection)
    with client.translating(config.address), client.connect(config, search_path=SEARCH_PATH) as session:
        if ledger.origin_of(session) != one.database:
            raise StateError(
                f"archive {one.archive} is of another database than PostgreSQL {config.address}",
                hint="correct the connection",
            )
        with ledger.alone(session, one.dataset):
            yield session
