"""`backup recover`: everything back on a machine that has nothing: servers, stores, definitions, Airflow's metadata."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json
from data_workbench.cli.backup import backup, open_reader, open_repository
from data_workbench.cli.restore import Asked, bring_back, say_restore
from data_workbench.cli.session import Session
from data_workbench.errors import StateError

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader

_SERVICES = {"postgres": "postgres", "neo4j": "neo4j", "qdrant": "qdrant", "workbench_rdf": "fuseki"}
_NO_STORES = ("definitions", "cluster")


@command(backup)
@click.argument("url")
@click.option("--set", "set_id", metavar="SET", help="This set instead of the newest.")
@click.option("--to", metavar="TIME", help="All stores as of this moment, where a log was kept.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("recovered"),
    show_default=True,
    help="Where pipelines, the project file and the configuration are put; must not be there yet, or be empty.",
)
@click.option("--yes", is_flag=True, help="Replace what stands in stores that were there already without asking.")
def recover(url: str, set_id: str | None, to: str | None, folder: Path, yes: bool, as_json: bool) -> None:
    """Bring everything back from the repository at URL, starting local servers for stores without a connection."""
    from data_workbench.backup.restoring import Target

    started = time.monotonic()
    session = Session()
    reader = open_reader(session, open_repository(session, url), set_id)
    reader.require_key()  # before a server is started
    _require_free(folder, reader)
    stores = {name: one.kind for name, one in reader.manifest.stores.items() if one.kind not in _NO_STORES}
    lacking = {stores[name] for name in _unknown(session, stores)}
    up = _start(session, sorted(_SERVICES[kind] for kind in lacking & _SERVICES.keys()))
    nowhere = _unknown(session, stores)
    target = Target(folder=folder, last=session.settings.metastore, whole=True)
    chosen = ("definitions", *(name for name in stores if name not in nowhere)) if nowhere else ()
    asked = Asked(target, None if to else set_id, chosen, to, True, yes or bool(up), url, as_json)
    told = {**bring_back(session, asked), "servers": up, "airflow": _airflow_keys(session, folder)}
    told["not_restored"] = [*told["not_restored"], *nowhere]
    told["folder"] = str(folder.absolute())
    told["seconds"] = round(time.monotonic() - started, 3)
    if as_json:
        say_json(told)
    else:
        say_restore(told)
        _say_next(told)
    if told["agree"] is False:
        sys.exit(1)


def _require_free(folder: Path, reader: Reader) -> None:
    """Refuse a folder with something in it, other than what a recovery of this set that was killed put there."""
    from data_workbench.backup.definitions import DefinitionRestore
    from data_workbench.backup.manifest import DEFINITIONS

    stored = reader.manifest.stores.get(DEFINITIONS)
    if stored is not None:
        DefinitionRestore(folder, stored, reader).check()
    elif folder.exists() and any(folder.iterdir()):  # Airflow's keys would be taken from it
        raise StateError(f"{folder} is not empty", hint="name a folder that is not there yet: --folder FOLDER")


def _unknown(session: Session, stores: Iterable[str]) -> list[str]:
    """Stores that no connection is set for."""
    from data_workbench.errors import ConnectionUnknown

    unknown = []
    for name in stores:
        try:
            session.connections.get(name)
        except ConnectionUnknown:
            unknown.append(name)
    return unknown


def _start(session: Session, services: list[str]) -> list[str]:
    """Start local servers, with an empty metastore."""
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.servers import Stack

    if not services:
        return []
    Stack(session.settings).up(services, lambda name, text: click.echo(f"{name}: {text}", err=True))
    if "postgres" in services:
        with open_metastore(session.connections.get(session.settings.metastore)) as metastore:
            metastore.upgrade()
    return services


def _airflow_keys(session: Session, folder: Path) -> bool:
    """Give a local Airflow that has none the keys its metadata was written with; whether it was done."""
    kept, place = folder / "configuration" / "airflow", session.settings.home / "airflow"
    if not kept.is_dir() or place.exists():
        return False
    place.mkdir(mode=0o700, parents=True)
    for file in kept.iterdir():
        shutil.copy(file, place / file.name)
        (place / file.name).chmod(0o600)
    return True


def _say_next(told: dict[str, Any]) -> None:
    click.echo(f"all of it took {told['seconds']} s; started here: {', '.join(told['servers']) or 'no server'}")
    click.echo(f"pipelines, project file and configuration lie in {told['folder']}")
    click.echo("next: put the pipelines where they belong, `workbench backup create`, then unpause the DAGs")
