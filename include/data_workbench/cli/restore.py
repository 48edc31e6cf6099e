"""`backup restore`: stores brought back from a set, in place or beside, and compared."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
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
    from data_workbench.backup.restoring import Restoring, Target
    from data_workbench.backup.vault import Vault
    from data_workbench.recovery.point_in_time import PointInTime


@command(backup)
@click.argument("set_id", metavar="[SET]", required=False)
@stores_option
@click.option("--beside", metavar="PREFIX", help="Make PREFIX_database and PREFIX_collections; replace nothing.")
@click.option("--into", multiple=True, metavar="STORE=CONNECTION", help="Restore a store into another server.")
@click.option("--definitions", type=click.Path(path_type=Path), help="Put pipeline definitions into this new folder.")
@click.option("--to", metavar="TIME", help="PostgreSQL as of this moment, such as 2026-11-23T10:15:00Z.")
@click.option("--reconcile", is_flag=True, help="Afterwards bring graph and vectors in line by their pipelines.")
@click.option("--yes", is_flag=True, help="Replace what stands in the stores without asking.")
@repository_option
def restore(
    set_id: str | None,
    stores: tuple[str, ...],
    beside: str | None,
    into: tuple[str, ...],
    definitions: Path | None,
    to: str | None,
    reconcile: bool,
    yes: bool,
    repository: str | None,
    as_json: bool,
) -> None:
    """Bring stores back from a set, the newest if none is named, and compare them with it."""
    from data_workbench.backup.restoring import Restoring, Target

    session = Session()
    vault = open_repository(session, repository)
    moment = _moment(session, vault, to, set_id) if to is not None else None
    reader = open_reader(session, vault, moment.choose()[0].set if moment else set_id)
    metastore = session.settings.metastore
    target = Target(beside=_prefix(beside), into=_into(into), folder=definitions, last=metastore)
    restoring = Restoring(reader, session.connections, target)
    names = restoring.chosen(stores)
    reader.require_key()  # before anybody is asked anything
    replaced = [name for name in names if beside is None and reader.manifest.stores[name].kind != "definitions"]
    replaced += [name for name in names if beside is not None and name in target.into]
    _agree(replaced, reader, yes=yes, as_json=as_json)
    started = time.monotonic()
    with shown(as_json=as_json):
        with _audited(reader, names, replaced, target):
            told = _restore(session, restoring, names, replaced, repository, moment)
        told["reconciled"] = _reconcile(session, names) if reconcile else None
    told |= {
        "set": reader.manifest.set,
        "recovery_point": reader.manifest.recovery_point.at.isoformat(),
        "to": moment.to.isoformat() if moment else None,
        "not_restored": restoring.left_behind(stores),
        "seconds": round(time.monotonic() - started, 3),
    }
    if as_json:
        say_json(told)
    else:
        _say_restore(told)


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


def _reconcile(session: Session, names: list[str]) -> list[dict[str, Any]]:
    """What the pipelines that write to the restored stores found and mended."""
    from data_workbench.cli.pipelines import runner
    from data_workbench.recovery.agreement import bring_together

    with runner(session) as engine:
        return bring_together(engine, set(names))


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
    repository: str | None,
    moment: PointInTime | None,
) -> dict[str, Any]:
    from data_workbench.backup.creation import LOCK, LOCK_HINT
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.metastore import hold_alone

    kept = None
    with ExitStack() as held:
        try:
            metastore = held.enter_context(session.metastore)
        except WorkbenchError as error:
            # A lost metastore is a reason to restore, not to refuse it.
            click.echo(f"without the metastore ({error.message}): nothing keeps others from restoring", err=True)
        else:
            held.enter_context(hold_alone(metastore, LOCK, hint=LOCK_HINT))
            kept = _keep_replaced(session, restoring, replaced, repository, metastore)
        if moment is not None:
            restoring = replace(restoring, live=held.enter_context(moment.recovered(*moment.choose())))
        done = restoring.restore(names)
    if session.settings.metastore in replaced and session.settings.metastore not in restoring.target.into:
        with open_metastore(session.connections.get(session.settings.metastore)) as restored:
            restored.upgrade()
    return {"stores": done, "replaced_set": kept}


def _keep_replaced(
    session: Session, restoring: Restoring, replaced: list[str], repository: str | None, metastore: Any
) -> str | None:
    """A set of what is about to be replaced; PostgreSQL keeps the replaced database itself."""
    stores = restoring.reader.manifest.stores
    names = [restoring.target.into.get(name, name) for name in replaced if stores[name].kind in ("neo4j", "qdrant")]
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


def _say_restore(told: dict[str, Any]) -> None:
    click.echo(f"restored set {told['set']} as of {told['recovery_point']} in {told['seconds']} s; everything compared")
    rows = [
        (name, one["kind"], one.get("database") or one.get("folder") or "", one["streams"], one["replaced"] or "")
        for name, one in told["stores"].items()
    ]
    say_table(("store", "kind", "where", "streams compared", "replaced is kept as"), rows)
    if told["replaced_set"]:
        click.echo(f"graph and vectors as they were are set {told['replaced_set']}")
    if told["to"]:
        click.echo(f"PostgreSQL is as of {told['to']}, graph and vectors are as of the set")
    for one in told["reconciled"] or ():
        click.echo(f"{one['pipeline']}: {'the stores agree' if one['clean'] else one['reason'] or 'the stores DIFFER'}")
    for name in told["not_restored"]:
        click.echo(f"not restored: {name} (it has no place to go: see --into, --definitions)")
