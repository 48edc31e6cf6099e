"""`archive`: rows past their time, moved to signed Parquet, found there, and brought back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from data_workbench.cli.answer import command, read_pairs, say_error, say_json, say_table
from data_workbench.cli.progress import shown
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.archive.compaction import Compacted
    from data_workbench.archive.policy import Policy
    from data_workbench.archive.running import Archiver, Outcome
    from data_workbench.archive.shelf import Shelf

Done = TypeVar("Done")

shelf_option = click.option("--shelf", help="A folder, URL or connection; WORKBENCH_ARCHIVES without it.")


@root.group()
def archive() -> None:
    """Rows past their time: moved to signed Parquet, found there, brought back, and expired."""


def open_shelf(session: Session, shelf: str | None, *, makes: bool = False) -> Shelf:
    """The shelf with the keys of this installation; whoever only reads makes none."""
    from data_workbench.archive.shelf import open_shelf as opened
    from data_workbench.audit import open_keys

    keys = open_keys(session.settings, makes=makes)
    if keys is None:
        raise UsageError(
            "there is no key to check the signatures of archives with",
            hint="name it in WORKBENCH_AUDIT_KEY; the first `workbench archive run` makes one",
        )
    return opened(shelf or session.settings.archive_place, session.connections, session.settings, keys)


@contextmanager
def archiver(session: Session, shelf: str | None, *, makes: bool = False) -> Iterator[Archiver]:
    """Everything archiving needs, over the session's stores."""
    from data_workbench.archive.running import Archiver

    opened = open_shelf(session, shelf, makes=makes)
    with session.metastore as metastore:
        yield Archiver(opened, session.connections, session.settings, metastore)


def policies(session: Session, names: tuple[str, ...]) -> list[Policy]:
    """The policies named, or all of the folder. Raises UsageError where there are none."""
    from data_workbench.pipelines.archive_policies import all_policies, find_policy

    found = [find_policy(name, session.settings) for name in names] if names else all_policies(session.settings)
    if not found:
        raise UsageError(
            f"there is no policy of archiving in {session.settings.archive_policies}",
            hint="write one, or name a file: workbench archive run POLICY.yaml",
        )
    return found


@contextmanager
def naming(policy: Policy) -> Iterator[None]:
    """Tell with an error which of the folder's policies it is about."""
    try:
        yield
    except WorkbenchError as error:
        error.message = f"policy {policy.archive}: {error.message}"
        raise


def _each(wanted: Sequence[Policy], carried_out: Callable[[Policy], Done]) -> tuple[list[Done], list[WorkbenchError]]:
    """What became of the policies, and the errors of those that failed; one that fails keeps no other back."""
    done: list[Done] = []
    failed: list[WorkbenchError] = []
    for policy in wanted:
        try:
            with naming(policy):
                done.append(carried_out(policy))
        except WorkbenchError as error:
            failed.append(error)
    return done, failed


def _with_error(document: dict[str, Any], failed: Sequence[WorkbenchError]) -> dict[str, Any]:
    return {**document, "error": failed[0].as_dict()} if failed else document


def _end(failed: Sequence[WorkbenchError]) -> None:
    """Say the errors; leave with the exit code of the first."""
    for error in failed:
        say_error(error)
    if failed:
        sys.exit(failed[0].exit_code)


def moment(_context: click.Context, _option: click.Parameter, given: str | None) -> datetime | None:
    """A time with its zone, UTC if none is given."""
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is no time; write it as 2026-11-23T10:15:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@command(archive)
@click.argument("names", metavar="[POLICY]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Tell what would be archived; move nothing.")
@click.option("--now", callback=moment, metavar="TIME", help="What is old as of this moment.")
@click.option("--anew", is_flag=True, help="Begin a shelf where none is, though archives lie on another.")
@shelf_option
def run(
    names: tuple[str, ...], dry_run: bool, now: datetime | None, anew: bool, shelf: str | None, as_json: bool
) -> None:
    """Archive what is past its time, by these policies or all; take up first what a killed run left.

    A policy that fails keeps no other from being carried out.
    """
    session = Session()
    wanted = policies(session, names)
    moment = now or datetime.now(UTC)
    with archiver(session, shelf, makes=True) as able, shown(as_json=as_json):

        def carried_out(policy: Policy) -> Outcome:
            if dry_run:
                return able.run(policy, now=moment, dry_run=True)
            return _carried_out(able, policy, moment, anew=anew)

        outcomes, failed = _each(wanted, carried_out)
    if as_json:
        say_json(_with_error({"policies": [_document(one) for one in outcomes], "dry_run": dry_run}, failed))
    else:
        for one in outcomes:
            _say_outcome(one, dry_run=dry_run)
    _end(failed)


def _carried_out(able: Archiver, policy: Policy, moment: datetime, *, anew: bool) -> Outcome:
    from data_workbench.audit import recorded
    from data_workbench.pipelines.archive_lineage import told as lineage

    asked = {"dataset": policy.dataset, "connection": policy.connection, "older_than": policy.age.older_than}
    with (
        recorded(able.metastore, "archive.run", policy.archive, details=asked) as told,
        lineage(able, "archive", policy.archive, connection=policy.connection, stream=policy.dataset) as moved,
    ):
        done = able.run(policy, now=moment, anew=anew)
        moved.rows = done.rows
        told |= {"archives": done.archives, "rows": done.rows, "kept": done.kept, "taken_up": done.taken_up}
    return done


def _document(outcome: Outcome) -> dict[str, Any]:
    trials = [
        {**one.compression.model_dump(), "bytes": one.bytes, "seconds": round(one.seconds, 3)} for one in outcome.trials
    ]
    told = {name: value for name, value in vars(outcome).items() if name != "layouts"}
    along = None if outcome.along_is == "unknown" else outcome.along
    return {**told, "along": along, "trials": trials, "ratio": outcome.ratio}


def _say_outcome(outcome: Outcome, *, dry_run: bool) -> None:
    eligible = sum(outcome.eligible.values())
    title = f"{outcome.policy}: {eligible:,} rows of before {outcome.cutoff:%Y-%m-%d %H:%M} UTC"
    say_table(("partition", "rows"), list(outcome.eligible.items()), title=title)
    if dry_run:
        _say_along(outcome)
        click.echo("nothing was moved")
        return
    ratio = f", 1/{outcome.ratio} of their size in memory" if outcome.ratio and outcome.ratio > 1 else ""
    click.echo(f"{outcome.rows:,} rows moved into {len(outcome.archives)} archives{ratio}")
    _say_along(outcome)
    if outcome.kept:
        click.echo(f"{outcome.kept:,} rows stay: they were changed while they were read, or are referred to")
    if outcome.nodes or outcome.points:
        click.echo(f"with them {outcome.nodes:,} nodes and {outcome.points:,} points")
    if outcome.kept_beside:
        click.echo(f"{outcome.kept_beside:,} nodes and points stay: they were changed meanwhile")
    for name, found in (("taken up", outcome.taken_up), ("given up", outcome.given_up)):
        if found:
            click.echo(f"{name} after a run that was killed: {', '.join(found)}")


def _say_along(outcome: Outcome) -> None:
    if outcome.along_is == "unknown":
        click.echo("how many rows of other tables go with them is unknown: counting them takes temporary tables, and")
        click.echo("this server only reads, or the login may make none")
    least = "at least " if outcome.along_is == "at least" else ""
    for table, rows in outcome.along.items():
        click.echo(f"with them {least}{rows:,} rows of {table}")


@command(archive, name="list")
@click.argument("policy", required=False)
@click.option("--all", "everything", is_flag=True, help="Also archives that were replaced, restored or expired.")
@click.option("--partition", help="Of this partition, such as 2024-03.")
@click.option("--attribute", "attributes", multiple=True, metavar="COLUMN=VALUE", help="With such rows in them.")
def list_(
    policy: str | None, everything: bool, partition: str | None, attributes: tuple[str, ...], as_json: bool
) -> None:
    """Archives, oldest first, as the metastore knows them."""
    from data_workbench.archive.finding import none_of
    from data_workbench.metastore import archives

    session = Session()
    states = () if everything else ("written", "live")
    wanted = read_pairs(attributes, option="--attribute")
    with session.metastore as metastore:
        if policy is not None and not archives.list_archives(metastore, policy=policy):
            raise none_of(metastore, policy)
        known = archives.attributes_of(metastore, policy=policy) if wanted else []
        for name in wanted.keys() - set(known):
            raise UsageError(f"no archive keeps values of {name!r}", hint=f"they keep those of {', '.join(known)}")
        found = archives.list_archives(metastore, policy=policy, states=states, partition=partition, attributes=wanted)
    if as_json:
        say_json({"archives": [vars(one) for one in found]})
        return
    rows = [
        (one.archive, one.policy, one.partition, one.state, one.rows, one.live, one.bytes,
         "hold" if one.legal_hold else f"{one.retained_until:%Y-%m-%d}" if one.retained_until else "for ever")
        for one in found
    ]  # fmt: skip
    say_table(("archive", "policy", "partition", "state", "rows", "live", "bytes", "kept until"), rows)


@command(archive)
@click.argument("policy", required=False)
@shelf_option
def verify(policy: str | None, shelf: str | None, as_json: bool) -> None:
    """Check every archive: signature, each file's hash, rows and content, and that nothing is lost or foreign."""
    from data_workbench.archive.checking import as_document
    from data_workbench.archive.scrubbing import verify_told as check

    session = Session()
    with archiver(session, shelf) as able, shown(as_json=as_json):
        found = check(able, policy=policy)
    if as_json:
        say_json(as_document(found))
    else:
        click.echo(
            f"{found.archives} archives, {found.parts} parts, {found.rows:,} rows, {found.bytes:,} bytes checked"
        )
        for name, problems in found.problems.items():
            for problem in problems:
                click.echo(f"  {name or 'shelf'}: {problem}")
        for name in found.unfinished:
            click.echo(f"  {name}: was never finished; the next run takes it up")
    if not found.is_sound:
        sys.exit(1)


@command(archive)
@click.argument("names", metavar="[POLICY]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Tell which archives would be made one; change nothing.")
@shelf_option
def compact(names: tuple[str, ...], dry_run: bool, shelf: str | None, as_json: bool) -> None:
    """Make one archive of small ones of the same partition. A policy that fails keeps no other from it."""
    from data_workbench.archive.compaction import compact as make_one
    from data_workbench.audit import recorded

    session = Session()
    wanted = policies(session, names)
    with archiver(session, shelf) as able, shown(as_json=as_json):

        def carried_out(policy: Policy) -> tuple[str, Compacted]:
            if dry_run:
                return policy.archive, make_one(able, policy, dry_run=True)
            with recorded(able.metastore, "archive.compact", policy.archive, details={}) as told:
                done = make_one(able, policy)
                told |= vars(done)
            return policy.archive, done

        outcomes, failed = _each(wanted, carried_out)
    if as_json:
        told = [{"policy": name, **vars(one)} for name, one in outcomes]
        say_json(_with_error({"policies": told, "dry_run": dry_run}, failed))
    else:
        for name, one in outcomes:
            verb = "would become fewer" if dry_run else f"became {len(one.made)}"
            click.echo(f"{name}: {len(one.replaced)} archives of {one.rows:,} rows {verb}")
    _end(failed)


@command(archive)
@click.option("--dry-run", is_flag=True, help="Tell what would be removed; remove nothing.")
@click.option("--now", callback=moment, metavar="TIME", help="What is over as of this moment.")
@shelf_option
def expire(dry_run: bool, now: datetime | None, shelf: str | None, as_json: bool) -> None:
    """Remove archives whose retention is over; never one under a legal hold."""
    from data_workbench.archive.expiry import expire as remove
    from data_workbench.audit import recorded
    from data_workbench.pipelines.archive_policies import all_policies

    session = Session()
    known = tuple(all_policies(session.settings))
    moment = now or datetime.now(UTC)
    with archiver(session, shelf) as able:
        if dry_run:
            done = remove(able, now=moment, policies=known, dry_run=True)
        else:
            with recorded(able.metastore, "archive.expire", able.shelf.address, details={"now": moment}) as told:
                done = remove(able, now=moment, policies=known)
                told |= vars(done)
    if as_json:
        say_json({**vars(done), "dry_run": dry_run})
        return
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{len(done.removed)} archives {verb}, {done.rows:,} rows and {done.bytes:,} bytes")
    if done.replaced:
        gone = "would go" if dry_run else "went"
        click.echo(f"files of {len(done.replaced)} archives that larger ones replaced {gone}")
    for name in done.held:
        click.echo(f"kept by a legal hold: {name}")


@command(archive)
@click.argument("name", metavar="ARCHIVE")
@click.option("--release", is_flag=True, help="Release the hold instead.")
@click.option("--reason", required=True, help="Why, such as a case's number; it is kept with the archive.")
@shelf_option
def hold(name: str, release: bool, reason: str, shelf: str | None, as_json: bool) -> None:
    """Put an archive under a legal hold, so that it is never expired, or release it."""
    from data_workbench.archive.holds import set_hold
    from data_workbench.audit import recorded

    session = Session()
    with (
        archiver(session, shelf) as able,
        recorded(able.metastore, "archive.hold", name, details={"held": not release, "reason": reason}),
    ):
        set_hold(able.metastore, able.shelf, name, is_held=not release, reason=reason, now=datetime.now(UTC))
    if as_json:
        say_json({"archive": name, "held": not release, "reason": reason})
        return
    click.echo(f"archive {name} is {'no longer held' if release else 'held'}: {reason}")
