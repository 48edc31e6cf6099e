"""`contract`: contracts of datasets out to other tools and in from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from data_workbench.cli.answer import command, say_json
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError


@root.group()
def contract() -> None:
    """Contracts of datasets, in the Open Data Contract Standard 3.1 and in Soda's language."""


@command(contract, "export")
@click.argument("name")
def export_contract(name: str, as_json: bool) -> None:
    """Write a contract, given by NAME or file, as a document of the standard."""
    from data_workbench.pipelines.contracts import Contracts
    from data_workbench.quality.exchange.odcs_out import exported

    session = Session()
    found = Contracts(session.settings, session.connections, None).find(name)
    if len(found) != 1:
        raise UsageError(f"{name!r} means {len(found)} contracts", hint="give the name or the file of one")
    document = exported(found[0].contract)
    if as_json:
        say_json({"contract": document})
    else:
        click.echo(_yaml(document), nl=False)


@command(contract, "import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--connection", metavar="ID", help="Connection of its datasets; its first server's name if left out.")
@click.option("--into", type=click.Path(path_type=Path), metavar="FOLDER", help="Write a file for each contract there.")
def import_contract(file: Path, connection: str | None, into: Path | None, as_json: bool) -> None:
    """Make contracts of a document of the standard or a contract of Soda's; what could not be taken is told."""
    from data_workbench.pipelines.contract_files import read_document
    from data_workbench.quality.exchange import odcs_in, soda_in

    document = read_document(file, Session().settings)
    reading = soda_in if soda_in.is_sodas(document) else odcs_in
    found = reading.imported(document, connection=connection)
    written = [_written(into, one) for one in found.contracts] if into else []
    if as_json:
        say_json({"contracts": found.contracts, "left_out": found.left_out, "written": written})
        return
    if into is None:
        click.echo("---\n".join(_yaml(one) for one in found.contracts), nl=False)
    for name in written:
        click.echo(f"{name} is written")
    for one in found.left_out:
        click.echo(f"left out: {one}", err=True)


def _written(folder: Path, one: dict[str, Any]) -> str:
    path = folder / f"{one['contract']}.yaml"
    if path.exists():
        raise UsageError(f"{str(path)!r} exists", hint="move it away, or import into another folder")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(_yaml(one), encoding="utf-8")
    return str(path)


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
