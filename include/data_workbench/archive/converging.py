"""Taking up what a killed run left: every archive of a policy is brought to one of its two ends.

The table's own database has decided which archives are live. One it knows is mirrored in the metastore; one it does
not know has taken nothing away yet, and is finished, where table and policy are as they were, or given up.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from data_workbench.archive import ledger, registration
from data_workbench.archive.checking import require_sound
from data_workbench.archive.drafting import definition_of
from data_workbench.archive.manifest import Kin, Manifest, is_taken_by
from data_workbench.archive.policy import Policy
from data_workbench.errors import WorkbenchError
from data_workbench.metastore import archives

if TYPE_CHECKING:
    from data_workbench.archive.running import Archiver, Outcome, Table

log = logging.getLogger(__name__)


def converge(archiver: Archiver, policy: Policy, table: Table, outcome: Outcome) -> None:
    """Bring every archive of the policy to one of its two ends; then what was taken along with them."""
    taken = [name for name in archiver.shelf.policies() if is_taken_by(name, policy.archive)]
    for name in (policy.archive, *taken):
        noted = ledger.noted(table.connection)
        known = {one.archive: one for one in archives.list_archives(archiver.metastore, policy=name)}
        on_shelf = archiver.shelf.archives(name)
        for archive in on_shelf:
            mark, entry = noted.get(archive), known.get(archive)
            if mark is not None:
                _mirror(archiver, mark, entry, table, outcome)
            elif entry is None or entry.state == "written":
                _decide(archiver, policy, Kin(policy=name, archive=archive), table, outcome)
            elif entry.state == "live":
                _stand_back(archiver, Kin(policy=name, archive=archive), table, outcome)
        noted = ledger.noted(table.connection)
        for archive, entry in known.items():
            if archive in on_shelf:
                continue
            mark = noted.get(archive)
            if mark is not None and mark.state != "live" and entry.state != mark.state:
                registration.retire(archiver.metastore, archive, mark.state)
            elif entry.state == "written":
                archives.forget(archiver.metastore, archive)


def _mirror(
    archiver: Archiver, mark: ledger.Noted, entry: archives.Archive | None, table: Table, outcome: Outcome
) -> None:
    """The table's database has decided: bring shelf and metastore in line."""
    if mark.state != "live":
        _retire(archiver, mark, entry)
        return
    # One that is `replaced` here was live at the moment the database was brought back to.
    is_known = entry is not None and entry.state in ("live", "restored")
    if entry is not None and is_known and entry.live == mark.live:
        return
    if not is_known:
        manifest = require_sound(archiver.shelf, mark.policy, mark.archive)
        # What it replaced had nothing left beside it.
        if not manifest.replaces and (entry is None or entry.state == "written"):
            archiver.remove_beside(manifest, table, outcome)
        registration.register(archiver.metastore, archiver.shelf, manifest, mark.manifest, state="live", live=mark.live)
    archives.set_state(archiver.metastore, mark.archive, "live" if mark.live else "restored", live=mark.live)
    outcome.taken_up.append(mark.archive)


def _retire(archiver: Archiver, mark: ledger.Noted, entry: archives.Archive | None) -> None:
    """Files of what was replaced stay for a while; where nobody knows since when, they go."""
    if mark.state == "expired" or entry is None or not archiver.settings.archive_replaced_days:
        archiver.shelf.remove(mark.policy, mark.archive)
    if entry is not None and entry.state != mark.state:
        registration.retire(archiver.metastore, mark.archive, mark.state)


def _decide(archiver: Archiver, policy: Policy, kin: Kin, table: Table, outcome: Outcome) -> None:
    """Nothing of this archive has left the table: finish it, or give it up."""
    try:
        manifest = archiver.shelf.manifest(kin.policy, kin.archive)
        if manifest is not None and not _is_ours(manifest, table):
            log.warning("archive %s was made from another table or database; it is left alone", kin.archive)
            return
        if manifest is not None and _is_the_only_one(archiver, manifest, table):
            _adopt(archiver, manifest, table)
            outcome.taken_up.append(kin.archive)
            return
        if manifest is not None and _is_to_be_settled(archiver, manifest, policy, table):
            archiver.settle(policy.archive, kin.archive, table, outcome)
            outcome.taken_up.append(kin.archive)
            return
        root = None if manifest is None else manifest.root
        if root is not None and root.archive in archiver.shelf.archives(root.policy):
            return  # it goes the way of the archive it was taken along with, which was left alone
    except WorkbenchError as error:
        log.warning("archive %s is left alone: %s", kin.archive, error.message)
        return
    archives.forget(archiver.metastore, kin.archive)
    archiver.shelf.remove(kin.policy, kin.archive)
    outcome.given_up.append(kin.archive)


def _stand_back(archiver: Archiver, kin: Kin, table: Table, outcome: Outcome) -> None:
    """The database does not know this archive, and counts on those it replaced: it was brought back to before that.

    Its files stay as long as those of what is replaced, for a database that is brought forward again.
    """
    manifest = archiver.shelf.manifest(kin.policy, kin.archive)
    if manifest is None or not manifest.replaces or not _is_ours(manifest, table):
        return
    if _is_the_only_one(archiver, manifest, table):
        _adopt(archiver, manifest, table)
        outcome.taken_up.append(kin.archive)
        return
    marks = ledger.noted(table.connection)
    if all(one in marks and marks[one].state == "live" for one in manifest.replaces):
        registration.retire(archiver.metastore, kin.archive, "replaced")


def _is_the_only_one(archiver: Archiver, manifest: Manifest, table: Table) -> bool:
    """Whether the database counts on archives that this one replaced, and their files are gone.

    It was brought back to a moment before that, from further back than the files are kept.
    """
    if not manifest.replaces:
        return False
    marks, there = ledger.noted(table.connection), archiver.shelf.archives(manifest.policy)
    return any(one in marks and marks[one].state == "live" and one not in there for one in manifest.replaces)


def _adopt(archiver: Archiver, manifest: Manifest, table: Table) -> None:
    """Let an archive be live once more in place of those it replaced."""
    require_sound(archiver.shelf, manifest.policy, manifest.archive)
    digest = archiver.shelf.manifest_digest(manifest.policy, manifest.archive) or ""
    with table.connection.transaction():
        ledger.note(table.connection, registration.note_of(manifest, digest))
        ledger.set_state(table.connection, manifest.replaces, "replaced")
    registration.register(archiver.metastore, archiver.shelf, manifest, digest, state="live", live=manifest.rows)
    archives.set_state(archiver.metastore, manifest.archive, "live", live=manifest.rows)


def _is_to_be_settled(archiver: Archiver, manifest: Manifest, policy: Policy, table: Table) -> bool:
    """Whether table and policy are as they were when the rows were chosen, and all is there that went along."""
    # One that was to replace others is made anew, from these: its rows are not in the table.
    if manifest.replaces or manifest.root is not None or not _still_fits(manifest, policy, table):
        return False
    facts = {one.policy: (one.dataset.facts, one.links) for one in table.relatives}
    for one in manifest.took:
        found = archiver.shelf.manifest(one.policy, one.archive)
        if found is None or facts.get(one.policy) != (found.columns, found.links):
            return False
    return True


def _is_ours(manifest: Manifest, table: Table) -> bool:
    return manifest.origin.database == table.origin.database


def _still_fits(manifest: Manifest, policy: Policy, table: Table) -> bool:
    """Whether the table and the policy are as they were when the rows were chosen."""
    same = manifest.columns == table.dataset.facts and manifest.origin.stream == table.origin.stream
    return same and manifest.definition == definition_of(policy)
