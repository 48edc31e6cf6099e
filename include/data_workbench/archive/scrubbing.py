"""Verifying a shelf against all that is known of it: by the metastore, and by the databases its rows came from."""

from __future__ import annotations

import logging

from data_workbench.archive import ledger
from data_workbench.archive.checking import Expected, Findings, check_shelf
from data_workbench.archive.finding import none_of
from data_workbench.archive.running import Archiver
from data_workbench.audit import recorded
from data_workbench.connectors.postgres import client
from data_workbench.errors import WorkbenchError
from data_workbench.metastore import archives
from data_workbench.metastore.audit import Author

log = logging.getLogger(__name__)
_THERE = ("written", "live", "restored")
_TOLD = 20
"""Problems that the audit trail keeps, of an archive and over all."""


def verify(archiver: Archiver, *, policy: str | None = None) -> Findings:
    """Check every archive. A database that is away is said so, and what the metastore knows is checked.

    Raises:
        UsageError: there are no archives of this policy.
    """
    registered = archives.list_archives(archiver.metastore, policy=policy, shelf=archiver.shelf.id)
    if policy is not None and not registered and policy not in archiver.shelf.policies():
        raise none_of(archiver.metastore, policy, f" on {archiver.shelf.address}")
    there = {name: set(archiver.shelf.archives(name)) for name in archiver.shelf.policies()}
    # Files of what was replaced stay for a while, and are checked as long as they do.
    expected = {
        one.archive: Expected(one.policy, one.archive, one.manifest)
        for one in registered
        if one.state in _THERE or (one.state == "replaced" and one.archive in there.get(one.policy, ()))
    }
    problems: list[str] = []
    known = {one.archive: one for one in registered}
    for connection in sorted({one.connection for one in registered}):
        try:
            marks = _marks(archiver, connection)
        except WorkbenchError as error:
            problems.append(f"{connection} was not asked which archives it counts on: {error.message}")
            continue
        for mark in marks.values():
            # A database may have archives on several shelves.
            is_there = mark.archive in there.get(mark.policy, ())
            if (is_there or mark.archive in known) and mark.state == "live" and policy in (None, mark.policy):
                expected[mark.archive] = Expected(mark.policy, mark.archive, mark.manifest)
            # Killed between its files and the metastore's word of it: the next run says so there.
            if not is_there and mark.state != "live":
                expected.pop(mark.archive, None)
        database = {one.database for one in registered if one.connection == connection}
        lost = [one.archive for one in registered if one.state == "live" and one.database in database]
        problems += [
            f"{name}: {connection} does not know it: rows of it may be in the table again"
            for name in lost
            if name not in marks
        ]
    found = check_shelf(archiver.shelf, expected.values(), policy=policy)
    for one in problems:
        found.say("", one)
    for entry in registered:
        if entry.legal_hold and entry.state in _THERE and entry.archive in there.get(entry.policy, ()):
            _check_hold(archiver, entry, found)
    return found


def _check_hold(archiver: Archiver, entry: archives.Archive, found: Findings) -> None:
    """A hold that is known of stands in the manifest, or in the note beside it. Damage to either is told before."""
    try:
        manifest = archiver.shelf.manifest(entry.policy, entry.archive)
    except WorkbenchError:
        return
    if manifest is not None and not manifest.legal_hold and archiver.shelf.hold(entry.policy, entry.archive) is None:
        found.say(entry.archive, "the note of its legal hold is lost; it is held still: workbench archive hold")


def verify_told(archiver: Archiver, *, policy: str | None = None, author: Author | None = None) -> Findings:
    """`verify`, with what it found in the audit trail: there the page "Archives" finds the last one."""
    asked = {"policy": policy}
    with recorded(
        archiver.metastore, "archive.verify", archiver.shelf.address, details=asked, author=author
    ) as outcome:
        found = verify(archiver, policy=policy)
        problems = {name: told[:_TOLD] for name, told in list(found.problems.items())[:_TOLD]}
        outcome |= {"policy": policy, "archives": found.archives, "rows": found.rows, "problems": problems}
    return found


def _marks(archiver: Archiver, connection: str) -> dict[str, ledger.Noted]:
    config = archiver.config_of(connection)
    with client.translating(config.address), client.connect(config) as session:
        return ledger.noted(session)
