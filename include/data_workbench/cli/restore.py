"""`backup restore`: stores brought back from a set, in place or beside, and compared."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.backup import (
    backup,
    open_creation,
    open_keys,
    open_reader,
    open_repository,
    repository_option,
    stores_option,
)
from data_workbench.cli.progress import shown
from data_workbench.cli.session import Session
from data_workbench.errors import FatalError, UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader
    from data_workbench.backup.manifest import Manifest
    from data_workbench.backup.postgres import LiveDatabase
    from data_workbench.backup.restoring import Restoring, Target
    from data_workbench.backup.vault import Vault
    from data_workbench.recovery.forward import Written
    from data_workbench.recovery.point_in_time import PointInTime


@command(backup)
@click.argument("set_id", metavar="[SET]", required=False)
@stores_option
@click.option("--beside", metavar="PREFIX", help="Make PREFIX_database and PREFIX_collections; replace nothing.")
@click.option("--into", multiple=True, metavar="STORE=CONNECTION", help="Restore a store into another server.")
@click.option("--definitions", type=click.Path(path_type=Path), help="Put pipeline definitions into this new folder.")
@click.option("--to", metavar="TIME", help="All stores as of this moment, such as 2026-11-23T10:15:00Z.")
@click.option(
    "--reconcile/--no-reconcile",
    default=None,
    help="Afterwards bring graph and vectors in line by their pipelines; with --to unless said otherwise.",
)
@click.option("--yes", is_flag=True, help="Replace what stands in the stores without asking.")
@repository_option
def restore(
    set_id: str | None,
    stores: tuple[str, ...],
    beside: str | None,
    into: tuple[str, ...],
    definitions: Path | None,
    to: str | None,
    reconcile: bool | None,
    yes: bool,
    repository: str | None,
    as_json: bool,
) -> None:
    """Bring stores back from a set, the newest if none is named, and compare them with it."""
    from data_workbench.backup.restoring import Target

    session = Session()
    target = Target(beside=_prefix(beside), into=_into(into), folder=definitions, last=session.settings.metastore)
    asked = Asked(target, set_id, stores, to, reconcile, yes, repository, as_json)
    told = bring_back(session, asked)
    if as_json:
        say_json(told)
    else:
        say_restore(told)
    if told["agree"] is False:
        sys.exit(1)


@dataclass(frozen=True)
class Asked:
    """What a restore was asked to do."""

    target: Target
    set_id: str | None = None
    stores: tuple[str, ...] = ()
    to: str | None = None
    reconcile: bool | None = None
    yes: bool = False
    repository: str | None = None
    as_json: bool = False


def bring_back(session: Session, asked: Asked) -> dict[str, Any]:
    """Restore, settle, and tell."""
    from data_workbench.backup.restoring import Restoring
    from data_workbench.pipelines.store_lineage import backup_restored
    from data_workbench.recovery.point_in_time import databases

    target = asked.target
    vault = open_repository(session, asked.repository)
    moment = _moment(session, vault, asked.to, asked.set_id) if asked.to is not None else None
    base = moment.choose() if moment else None
    reader = open_reader(session, vault, base[0].set if base else asked.set_id)
    restoring = Restoring(reader, session.connections, target, settings=session.settings)
    names = restoring.chosen(asked.stores)
    if moment is not None and base is not None:
        apart = [name for name in names if name not in databases(*base)]
        restoring = replace(restoring, later=_later(reader, moment.sets(apart, base[0])))
    reader.require_key()  # before anybody is asked anything
    replaced = [name for name in names if target.beside is None and restoring.stored(name).kind != "definitions"]
    replaced += [name for name in names if target.beside is not None and name in target.into]
    _agree(replaced, reader, yes=asked.yes, as_json=asked.as_json)
    here = {name for name in replaced if name not in target.into}
    settles = bool(here) and (asked.to is not None if asked.reconcile is None else asked.reconcile)
    started = time.monotonic()
    with shown(as_json=asked.as_json):
        with (
            _audited(reader, names, replaced, target),
            backup_restored(reader, session.connections, session.settings, target, names),
        ):
            live: AbstractContextManager[dict[str, LiveDatabase]] = nullcontext({})
            if moment is not None and base is not None:
                live = moment.recovered(*base)
            told, written = _restore(session, restoring, names, replaced, asked, live)
        told |= _settle(session, restoring, here, written, asked.to) if settles else _UNSETTLED
    return {
        **told,
        "set": reader.manifest.set,
        "sets": {name: restoring.manifest(name).set for name in names},
        "recovery_point": reader.manifest.recovery_point.at.isoformat(),
        "to": moment.to.isoformat() if moment else None,
        "not_restored": restoring.left_behind(asked.stores),
        "seconds": round(time.monotonic() - started, 3),
    }


_UNSETTLED: Mapping[str, Any] = {"reconciled": None, "agree": None, "written_since": None, "journal_expired": []}
"""Of a restore after which no pipeline was asked."""


def _moment(session: Session, vault: Vault, text: str, set_id: str | None) -> PointInTime:
    """The moment asked for, checked: a place to go back to it from was found."""
    from data_workbench.recovery.point_in_time import PointInTime

    if set_id is not None:
        raise UsageError("--to chooses the set itself", hint="leave the set's id out")
    try:
        to = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--to {text!r} is no moment", hint="write it as 2026-11-23T10:15:00Z") from None
    if to.tzinfo is None:
        raise UsageError(f"--to {text!r} has no time zone", hint="write it as 2026-11-23T10:15:00Z")
    return PointInTime(vault, open_keys(session), session.settings, to)


def _later(reader: Reader, sets: Mapping[str, Manifest]) -> dict[str, Reader]:
    """Readers of stores that come from other sets, by the same keys."""
    return {name: replace(reader, manifest=manifest) for name, manifest in sets.items()}


def _settle(
    session: Session, restoring: Restoring, here: set[str], written: Written | None, to: str | None
) -> dict[str, Any]:
    """What the pipelines that write to the restored stores found and mended: those just brought back, if they were."""
    from data_workbench.cli.pipelines import runner
    from data_workbench.recovery.forward import Written
    from data_workbench.recovery.settling import settle, written_since

    with runner(session) as engine:
        if written is None and to is not None:  # by the metastore that went back itself
            written = written_since(engine.metastore, restoring, here, until=None)
        brought = (restoring.target.folder or Path()) / "pipelines"
        pipelines = brought if restoring.target.folder and brought.is_dir() else None
        return settle(engine, written or Written(), here, pipelines=pipelines)


def _prefix(text: str | None) -> str | None:
    if text is not None and not (text.isascii() and text.replace("_", "").isalnum() and len(text) <= 30):
        raise UsageError(f"--beside {text!r} is no prefix", hint="use up to 30 letters, digits and underscores")
    return text


def _into(pairs: tuple[str, ...]) -> dict[str, str]:
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if any(not name or not connection for name, connection in found.items()):
        raise UsageError("--into is not of the form STORE=CONNECTION", hint="such as --into odras_neo4j=spare_neo4j")
    return found


def _agree(replaced: list[str], reader: Reader, *, yes: bool, as_json: bool) -> None:
    """Ask before anything that stands is replaced."""
    if not replaced or yes:
        return
    what = f"{', '.join(replaced)} would be replaced by set {reader.manifest.set}"
    if as_json or not sys.stdin.isatty():
        raise UsageError(what, hint="say --yes if that is meant, or restore beside: --beside PREFIX")
    click.confirm(f"{what}. Go on?", abort=True, err=True)


@contextmanager
def _audited(reader: Reader, names: list[str], replaced: list[str], target: Target) -> Iterator[None]:
    """Tell of the restore before and after it. A lost metastore is a reason to restore, and then told of afterwards;
    one that is brought back from a set has the trail of that moment, and goes on from there."""
    from data_workbench.metastore.audit import Act, Author, record

    details = {"set": reader.manifest.set, "stores": names, "replaced": replaced, "beside": target.beside}
    told = {"into": dict(target.into), **details}
    subject = reader.vault.address
    try:
        with Session().metastore as metastore:
            record(metastore, Author.of_process(), Act("backup.restore.begun", subject, told))
    except WorkbenchError as error:
        click.echo(f"the audit trail cannot tell of this restore before it is done ({error.message})", err=True)
    state = "failed"
    try:
        yield
        state = "success"
    finally:
        try:
            with Session().metastore as metastore:
                record(metastore, Author.of_process(), Act("backup.restore.ended", subject, {"state": state, **told}))
        except WorkbenchError as error:
            click.echo(f"the audit trail does NOT tell of this restore: {error.message}", err=True)


def _restore(
    session: Session,
    restoring: Restoring,
    names: list[str],
    replaced: list[str],
    asked: Asked,
    live: AbstractContextManager[dict[str, LiveDatabase]],
) -> tuple[dict[str, Any], Written | None]:
    """What was done; and of a metastore that does not go back to the moment, what it knows of writes until then.

    Args:
        live: databases of a server that stands at the moment; none for a set's own.
    """
    from data_workbench.backup.creation import LOCK, LOCK_HINT
    from data_workbench.metastore import hold_alone
    from data_workbench.recovery.settling import written_since

    kept, written, own = None, None, session.settings.metastore
    with ExitStack() as held:
        restoring = replace(restoring, live=held.enter_context(live))
        try:
            metastore = held.enter_context(session.metastore)
        except WorkbenchError as error:
            # A lost metastore is a reason to restore, not to refuse it.
            click.echo(f"without the metastore ({error.message}): nothing keeps others from restoring", err=True)
        else:
            held.enter_context(hold_alone(metastore, LOCK, hint=LOCK_HINT))
            kept = _keep_replaced(session, restoring, replaced, asked.repository, metastore)
            if asked.to is not None and (own not in names or own not in restoring.live):
                written = written_since(metastore, restoring, replaced, until=datetime.fromisoformat(asked.to))
        done = restoring.restore(names)
    given_up = _upgraded(session) if own in replaced and own not in restoring.target.into else []
    return {"stores": done, "replaced_set": kept, "given_up": given_up}, written


def _upgraded(session: Session) -> list[str]:
    """Bring a restored metastore to this version, and give up the runs it says are under way."""
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.recovery.settling import give_up

    with open_metastore(session.connections.get(session.settings.metastore)) as restored:
        restored.upgrade()
        return give_up(restored)


def _keep_replaced(
    session: Session, restoring: Restoring, replaced: list[str], repository: str | None, metastore: Any
) -> str | None:
    """A set of what is about to be replaced; PostgreSQL keeps the replaced database itself."""
    from data_workbench.backup.restoring import ONE_PLACE

    stores = restoring.reader.manifest.stores
    names = [restoring.target.into.get(name, name) for name in replaced if stores[name].kind in (*ONE_PLACE, "qdrant")]
    if not names:
        return None
    label = f"before the restore of {restoring.reader.manifest.set}"
    try:
        made = open_creation(session, repository, metastore).create_held(stores=names, label=label, purpose="replaced")
    except FatalError as error:
        raise FatalError(
            f"what is about to be replaced cannot be kept: {error.message}", hint=error.hint or "nothing was touched"
        ) from error
    return made.set


def say_restore(told: dict[str, Any]) -> None:
    click.echo(f"restored set {told['set']} as of {told['recovery_point']} in {told['seconds']} s; everything compared")
    rows = [
        (name, one["kind"], one.get("database") or one.get("folder") or "", one["streams"], one["replaced"] or "")
        for name, one in told["stores"].items()
    ]
    say_table(("store", "kind", "where", "streams compared", "replaced is kept as"), rows)
    for name, one in told["stores"].items():
        for extension, versions in one.get("other_extensions", {}).items():
            click.echo(f"{name}: extension {extension} was {versions['set']}, this server makes {versions['here']}")
        for what, reason in one.get("not_set", {}).items():
            click.echo(f"{name}: {what} of the database was not set: {reason}")
    if told["replaced_set"]:
        click.echo(f"graph and vectors as they were are set {told['replaced_set']}")
    if told["to"]:
        rest = "graph and vectors as the pipelines make them of it" if told["agree"] else "graph and vectors as of sets"
        click.echo(f"PostgreSQL is as of {told['to']}, {rest}")
    if told["given_up"]:
        click.echo(f"given up, since they were under way in that moment: runs {', '.join(told['given_up'])}")
    for one in told["reconciled"] or ():
        click.echo(f"{one['pipeline']}: {'the stores agree' if one['clean'] else one['reason'] or 'the stores DIFFER'}")
    since = [
        (one["connection"], one["dataset"], one["written"], one["as_written"], one["moved_on"], one["gone"])
        for one in told["written_since"] or ()
    ]
    if since:
        say_table(("store", "what", "written since its set", "as written", "source moved on", "gone"), since)
    for name in told["not_restored"]:
        click.echo(f"not restored: {name} (it has no place to go: see --into, --definitions)")
