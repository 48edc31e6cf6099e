"""`backup retrieve`: single tables, labels, relationship types, collections or entities out of a set."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.backup import backup, open_creation, open_reader, open_repository, repository_option
from data_workbench.cli.progress import shown
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader
    from data_workbench.backup.pieces import Piece


@command(backup)
@click.argument("pieces", nargs=-1, required=True, metavar="STORE:STREAM…")
@click.option("--set", "set_id", metavar="SET", help="Out of this set instead of the newest.")
@click.option("--key", "key_text", metavar="JSON", help='Only what has this key, such as {"requirement_id": "…"}.')
@click.option("--yes", is_flag=True, help="Replace what stands there without asking.")
@repository_option
def retrieve(
    pieces: tuple[str, ...], set_id: str | None, key_text: str | None, yes: bool, repository: str | None, as_json: bool
) -> None:
    """Make a table, label, [:TYPE] or collection what it is in a set, or only the rows, nodes and points of a key."""
    from data_workbench.audit import recorded
    from data_workbench.backup.creation import LOCK, LOCK_HINT
    from data_workbench.backup.pieces import Pieces, parse_piece
    from data_workbench.metastore import hold_alone

    session, started = Session(), time.monotonic()
    wanted, key = [parse_piece(one) for one in pieces], _key(key_text)
    reader = open_reader(session, open_repository(session, repository), set_id)
    reader.require_key()
    _agree(pieces, reader, yes=yes, as_json=as_json)
    details = {"set": reader.manifest.set, "pieces": list(pieces), "by_key": key is not None}
    with (
        session.metastore as metastore,
        shown(as_json=as_json),
        hold_alone(metastore, LOCK, hint=LOCK_HINT),
        recorded(metastore, "backup.retrieve", reader.vault.address, details=details),
    ):
        kept = _keep(session, reader, wanted, repository, metastore)
        done = Pieces(reader, session.connections, key).restore(wanted)
    seconds = round(time.monotonic() - started, 3)
    told = {"set": reader.manifest.set, "pieces": done, "replaced_set": kept, "seconds": seconds}
    if as_json:
        say_json(told)
        return
    rows = [(one["store"], one["stream"], one["written"], one["removed"], one["replaced"] or "") for one in done]
    say_table(("store", "what", "written", "removed", "as it was"), rows, title=f"of set {told['set']}")
    if kept:
        click.echo(f"graph and vectors as they were are set {kept}")


def _key(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found or any(isinstance(one, dict | list) for one in found.values()):
        raise UsageError("--key is no JSON object of columns and values", hint="""such as --key '{"id": 7}'""")
    return found


def _agree(pieces: tuple[str, ...], reader: Reader, *, yes: bool, as_json: bool) -> None:
    if yes:
        return
    what = f"{', '.join(pieces)} would be made what set {reader.manifest.set} has"
    if as_json or not sys.stdin.isatty():
        raise UsageError(what, hint="say --yes if that is meant")
    click.confirm(f"{what}. Go on?", abort=True, err=True)


def _keep(session: Session, reader: Reader, wanted: list[Piece], repository: str | None, metastore: Any) -> str | None:
    """A set of graph and vectors as they are; a table is kept beside itself."""
    stores = reader.manifest.stores
    names = [one.store for one in wanted if one.store in stores and stores[one.store].kind in ("neo4j", "qdrant")]
    if not names:
        return None
    creation = open_creation(session, repository, metastore)
    label = f"before pieces of {reader.manifest.set}"
    return creation.create_held(stores=list(dict.fromkeys(names)), label=label, purpose="replaced").set
