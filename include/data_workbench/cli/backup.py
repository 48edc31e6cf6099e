"""`backup`: sets of all stores at one moment, made, listed, verified and restored."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.progress import shown
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader
    from data_workbench.backup.creation import Creation
    from data_workbench.backup.keys import Keyring
    from data_workbench.backup.manifest import Manifest
    from data_workbench.backup.vault import Vault

repository_option = click.option("--repository", help="A folder, URL or connection; WORKBENCH_BACKUPS without it.")
stores_option = click.option(
    "--store", "stores", multiple=True, metavar="NAME", help="Only this store; may be repeated."
)


@root.group()
def backup() -> None:
    """Backup sets over all stores: one recovery point, encrypted, deduplicated, verified."""


def open_repository(session: Session, repository: str | None) -> Vault:
    from data_workbench.backup.vault import open_vault

    return open_vault(repository or session.settings.backup_place, session.connections, session.settings)


def open_reader(session: Session, vault: Vault, set_id: str | None) -> Reader:
    from data_workbench.backup.content import Reader

    manifest = vault.find(set_id)
    return Reader(vault, open_keys(session, reads=True), manifest)


def open_keys(session: Session, *, reads: bool = False) -> Keyring:
    """The keys; whoever only reads makes none."""
    from data_workbench.backup.keys import Keyring, identity_of, open_keyring

    return Keyring((), *identity_of(session.settings)) if reads else open_keyring(session.settings)


@command(backup)
@stores_option
@repository_option
@click.option("--label", default="", help="A word to find it again by.")
@click.option("--anew", is_flag=True, help="Begin a repository where another one was seen before, and is no more.")
def create(stores: tuple[str, ...], repository: str | None, label: str, anew: bool, as_json: bool) -> None:
    """Make a set of all stores at one moment."""
    from data_workbench.audit import recorded
    from data_workbench.backup.creation import summary
    from data_workbench.pipelines.store_lineage import backup_created

    session = Session()
    with session.metastore as metastore, shown(as_json=as_json):
        creation = replace(open_creation(session, repository, metastore), anew=anew)
        asked = {"stores": stores, "label": label}
        with (
            recorded(metastore, "backup.create", creation.vault.address, details=asked) as outcome,
            backup_created(creation) as sets,
        ):
            made = creation.create(stores=stores, label=label)
            outcome["set"] = made.set
            sets.append(made)
    told = summary(made)
    if as_json:
        say_json(told)
        return
    _say_set(told)


def open_creation(session: Session, repository: str | None, metastore: Any) -> Creation:
    from data_workbench.backup.creation import Creation

    vault, keyring = open_repository(session, repository), open_keys(session)
    return Creation(vault, keyring, session.connections, session.settings, metastore)


def _say_set(told: dict[str, Any]) -> None:
    click.echo(f"set {told['set']}, recovery point {told['recovery_point']}, fence {told['fence_ms']} ms")
    rows = [
        (name, one["kind"], one["streams"], one["count"], "moved" if one["moved"] else "")
        for name, one in told["stores"].items()
    ]
    say_table(("store", "kind", "streams", "rows, nodes, points, triples, files", ""), rows)
    click.echo(f"{_size(told['bytes'])}, {_size(told['stored'])} encrypted, {_size(told['new_bytes'])} of them new")
    for name, reason in told["left_out"].items():
        click.echo(f"left out: {name} ({reason})")
    if not told["quiet"]:
        click.echo("pipelines were under way at the recovery point: reconcile them after a restore")


@command(backup, name="list")
@repository_option
def list_(repository: str | None, as_json: bool) -> None:
    """Finished sets, newest first, and what is wrong with others."""
    from data_workbench.backup.creation import summary

    session = Session()
    vault = open_repository(session, repository)
    broken: list[dict[str, Any]] = []
    manifests = vault.manifests(broken=lambda name, error: broken.append({"set": name, "problem": error.message}))
    sets = [
        {**summary(one), "verified": _verified(vault, one.set), "lock": _lock(vault, one)}
        for one in reversed(manifests)
    ]
    if as_json:
        say_json({"repository": vault.address, "sets": sets, "broken": broken})
        return
    rows = [
        (one["set"], one["recovery_point"], _size(one["bytes"]), _size(one["new_bytes"]), ", ".join(one["stores"]),
         _told(one["verified"]), _locked(one), one["label"])
        for one in sets
    ]  # fmt: skip
    head = ("set", "recovery point", "size", "new", "stores", "verified", "locked until", "label")
    say_table(head, rows, title=vault.address)
    for one in broken:
        click.echo(f"{one['set']}: {one['problem']}")


def _verified(vault: Vault, set_id: str) -> dict[str, Any] | None:
    """The latest verification of a set, in short."""
    found = vault.verification(set_id)
    return {name: found.get(name) for name in ("kind", "outcome", "checked")} if found else None


def _lock(vault: Vault, manifest: Manifest) -> dict[str, Any] | None:
    """What the store says of a set's lock; None where it has none, or never had one."""
    held = vault.lock_of_set(manifest.set) if manifest.locked_until else None
    return vars(held) if held else None


def _locked(one: dict[str, Any]) -> str:
    """Until when a set cannot be removed, in short."""
    if not one["locked_until"]:
        return ""
    held = one["lock"]
    if held is None or held["until"] <= datetime.now(UTC):
        return "not locked any more"
    return f"{held['until']:%Y-%m-%d %H:%M} ({held['mode'].lower()})"


def _told(verified: dict[str, Any] | None) -> str:
    return f"{verified['outcome']} ({verified['kind']})" if verified else "never"


@command(backup)
@repository_option
def status(repository: str | None, as_json: bool) -> None:
    """Up to when each store can be brought back, and what is wrong with the backups; exit 1 if anything is."""
    from data_workbench.backup.judging import judge
    from data_workbench.backup.watching import limits_of
    from data_workbench.recovery.observing import observe

    session = Session()
    vault = open_repository(session, repository)
    try:
        with session.metastore as metastore:
            seen = observe(vault, session.settings, metastore)
    except WorkbenchError:  # tries that failed are not known then; all else stands in the repository
        seen = observe(vault, session.settings)
    found = judge(seen, limits_of(session.settings))
    if as_json:
        body = seen.model_dump(mode="json", exclude={"sets"})
        say_json({**body, "sets": len(seen.sets), "recoverable_to": seen.recoverable(),
                  "recoverable_whole": seen.recoverable_whole, "troubles": [vars(one) for one in found]})  # fmt: skip
    else:
        rows = [(name, f"{moment:%Y-%m-%d %H:%M:%S}") for name, moment in sorted(seen.recoverable().items())]
        whole = seen.recoverable_whole
        rows.append(("all together", f"{whole:%Y-%m-%d %H:%M:%S}" if whole else "never"))
        say_table(("store", "can be brought back to (UTC)"), rows, title=seen.address)
        for one in found:
            click.echo(f"{one.cause}: {one.title}\n  next: {one.hint}")
    if found:
        sys.exit(1)


@command(backup)
@click.argument("set_id", metavar="[SET]", required=False)
@repository_option
def show(set_id: str | None, repository: str | None, as_json: bool) -> None:
    """A set in full: every table, label, relationship type and collection with its count and fingerprint."""
    from data_workbench.backup.creation import summary

    session = Session()
    vault = open_repository(session, repository)
    manifest = vault.find(set_id)
    if as_json:
        body = manifest.model_dump(mode="json", exclude={"chunks"})
        for store in body["stores"].values():
            store["files"] = [{**file, "chunks": len(file["chunks"])} for file in store["files"]]
        say_json({**body, "bytes": manifest.size, "stored": manifest.stored, "address": vault.address,
                  "lock": _lock(vault, manifest)})  # fmt: skip
        return
    _say_set(summary(manifest))
    if manifest.locked_until:
        told = _locked({"locked_until": f"{manifest.locked_until:%Y-%m-%d %H:%M}", "lock": _lock(vault, manifest)})
        click.echo(f"locked until {manifest.locked_until:%Y-%m-%d %H:%M} UTC when it was made; the store says: {told}")
    rows = [
        (name, stream, one.count, one.fingerprint)
        for name, store in manifest.stores.items()
        for stream, one in store.streams.items()
    ]
    say_table(("store", "stream", "count", "fingerprint"), rows)
    click.echo(f"encrypted for {', '.join(manifest.recipients)}")


@command(backup)
@click.argument("set_id", metavar="[SET]", required=False)
@click.option("--drill", is_flag=True, help="Also restore it into servers made for this, and compare everything.")
@stores_option
@repository_option
def verify(set_id: str | None, drill: bool, stores: tuple[str, ...], repository: str | None, as_json: bool) -> None:
    """Check every chunk and file of a set, the newest if none is named; exit 1 unless all is well."""
    from data_workbench.pipelines.store_lineage import backup_verified
    from data_workbench.recovery.verifying import verify as verify_set

    session = Session()
    vault = open_repository(session, repository)
    reader = open_reader(session, vault, set_id)
    with shown(as_json=as_json), backup_verified(reader, session.settings) as told:
        report = verify_set(reader, session.settings, drill=drill, stores=stores)
        told |= report
    report["kept"] = _keep(session, reader, report)
    if as_json:
        say_json(report)
    else:
        _say_verification(report)
    if report["outcome"] != "passed":
        sys.exit(1)


@command(backup)
@click.argument("set_id", metavar="[SET]", required=False)
@repository_option
def certificate(set_id: str | None, repository: str | None, as_json: bool) -> None:
    """The signed certificate of a set's last drill, held against this installation's key; exit 1 unless it passed."""
    from data_workbench.audit import open_keys as open_signing_keys
    from data_workbench.recovery.certificates import read

    session = Session()
    vault = open_repository(session, repository)
    found = vault.find(set_id).set
    content = vault.certificate(found)
    if content is None:
        raise UsageError(f"set {found} has no certificate", hint=f"workbench backup verify {found} --drill")
    keys = open_signing_keys(session.settings)
    told = read(content, keys)
    if as_json:
        say_json({**told, "signature_checked": keys is not None})
    else:
        _say_certificate(told, is_checked=keys is not None)
    if told["outcome"] != "passed":
        sys.exit(1)


def _say_certificate(told: dict[str, Any], *, is_checked: bool) -> None:
    click.echo(f"set {told['set']}: {told['outcome']}, restored on {told['began']}")
    rows = [
        (name, one["kind"], one["version"] or "", one["outcome"], one["count"], one["fingerprint"], one["reason"] or "")
        for name, one in told["stores"].items()
    ]
    say_table(("store", "kind", "version", "outcome", "count", "fingerprint", ""), rows)
    click.echo(f"back in {told['rto_ms'] / 1000:,.1f} s; {told['rpo_ms'] / 1000:,.0f} s of work would have been lost")
    tried = told["tried"] or {"queries": {}, "pipelines": {}, "contracts": {}, "left_out": {}}
    asked = sum(one["asked"] for one in tried["queries"].values())
    clean = sum(one["clean"] for one in tried["pipelines"].values())
    click.echo(f"{asked} sample queries, {clean} of {len(tried['pipelines'])} pipelines clean, "
               f"{len(tried['contracts'])} contracts held against it")  # fmt: skip
    for name, reason in tried["left_out"].items():
        click.echo(f"left out: {name} ({reason})")
    click.echo(
        f"signed by {told['key']}" if is_checked else f"NOT CHECKED: there is no key here; it names {told['key']}"
    )


def _keep(session: Session, reader: Reader, report: dict[str, Any]) -> bool:
    """Whether the report could be kept; a verification answers without the metastore, too."""
    from data_workbench.recovery.verifying import keep

    try:
        with session.metastore as metastore:
            keep(reader, report, metastore)
    except WorkbenchError as error:
        keep(reader, report, None)
        click.echo(f"kept beside the set only: {error.message}", err=True)
        return False
    return True


def _say_verification(report: dict[str, Any]) -> None:
    click.echo(f"set {report['set']}: {report['outcome']} ({report['chunks']} chunks, {_size(report['bytes'])})")
    for problem in report["problems"]:
        click.echo(f"  {problem}")
    if report["decrypted"] is None:
        click.echo("  not decrypted: there is no identity here; hashes of the encrypted chunks were checked")
    if report["drill"]:
        rows = [(name, one["outcome"], one["streams"], one.get("seconds"), one["reason"] or "")
                for name, one in report["drill"]["stores"].items()]  # fmt: skip
        say_table(("store", "drill", "streams compared", "seconds", ""), rows)


@command(backup)
@click.option("--stop", is_flag=True, help="Stop receiving; the server keeps what comes until it is started again.")
@click.option("--drop-slot", is_flag=True, help="With --stop: the server keeps nothing; a new base backup is needed.")
@repository_option
def wal(stop: bool, drop_slot: bool, repository: str | None, as_json: bool) -> None:
    """Keep the log of the server in WORKBENCH_POINT_IN_TIME: see that it is received, take it over, tell how far."""
    from data_workbench.recovery.logs import LogKeeper
    from data_workbench.recovery.point_in_time import window

    session = Session()
    name = session.settings.point_in_time
    if not name:
        raise UsageError(
            "no server's log is to be kept", hint="set WORKBENCH_POINT_IN_TIME to the connection of a PostgreSQL server"
        )
    vault = open_repository(session, repository)
    keeper = LogKeeper(vault, open_keys(session), session.connections.get(name), session.settings)
    if stop:
        keeper.stop(drop_slot=drop_slot)
        told: dict[str, Any] = {"connection": name, "running": False}
    else:
        told = {"connection": name, "running": True, **keeper.keep()}
        span = window(vault, keeper.keyring)
        told["recoverable_from"] = span.begin.isoformat() if span else None
    if as_json:
        say_json(told)
    elif stop:
        click.echo(f"the log of {name} is not received any more")
    else:
        click.echo(f"{told['shipped']} segments taken over; the log goes to {told['recoverable_to']} ({told['lsn']})")
        begin = told["recoverable_from"]
        click.echo(
            f"PostgreSQL can go back to any moment from {begin}" if begin else "no base backup yet: backup create"
        )


@command(backup)
@click.option("--dry-run", is_flag=True, help="Tell what would be removed; remove nothing.")
@repository_option
def prune(dry_run: bool, repository: str | None, as_json: bool) -> None:
    """Remove sets past their time, and chunks nobody needs; the newest good set always stays."""
    from data_workbench.audit import recorded
    from data_workbench.backup.creation import LOCK, LOCK_HINT
    from data_workbench.backup.retention import parse_policy
    from data_workbench.backup.retention import prune as thin_out
    from data_workbench.metastore import hold_alone

    session = Session()
    policy = parse_policy(session.settings.backup_retention)
    vault = open_repository(session, repository)
    _ = vault.id  # a place that is no repository is said to be none
    with session.metastore as metastore, hold_alone(metastore, LOCK, hint=LOCK_HINT):
        asked = {"policy": vars(policy)}
        with ExitStack() as told:
            outcome: dict[str, Any] = {}
            if not dry_run:
                outcome = told.enter_context(recorded(metastore, "backup.prune", vault.address, details=asked))
            done = thin_out(vault, policy, now=datetime.now(UTC), dry_run=dry_run)
            outcome |= {"removed": done.removed, "unfinished": done.unfinished, "chunks": done.chunks}
    if as_json:
        say_json({**vars(done), "dry_run": dry_run})
        return
    say_table(("set", "kept by"), [(name, ", ".join(reasons)) for name, reasons in done.kept.items()])
    verb = "would be removed" if dry_run else "removed"
    for name in done.removed:
        click.echo(f"{verb}: {name}")
    for name in done.unfinished:
        click.echo(f"{verb}: {name} (never finished)")
    for name, problem in done.broken.items():
        click.echo(f"not touched, and with it no chunk: {name} ({problem})")
    for name, kept in done.elsewhere.items():
        click.echo(f"left to pgBackRest, which expires it by its own retention: {kept} (of {name})")
    click.echo(f"{done.chunks} chunks, {_size(done.bytes)} removed")
    if done.locked:
        ends = [until for until in done.locked.values() if until]
        click.echo(
            f"{len(done.locked)} files are needed no more, and locked until {max(ends, default='lifted')} at most"
        )


def _size(count: int) -> str:
    for unit, least in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} B"
