"""`map import`: the mappings that ODRAS keeps, as steps and pipelines."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, read_pairs, say_json, say_table
from data_workbench.cli.mapping import map_group
from data_workbench.cli.pipelines import load
from data_workbench.cli.profiling import split_dataset
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.pipelines.importing.reading import Imported
    from data_workbench.pipelines.importing.rows import Kept
    from data_workbench.pipelines.importing.writing import Wanted


@command(map_group, "import")
@click.argument("connection")
@click.argument("mapping", required=False)
@click.option("--schema", default="public", show_default=True, help="Where ODRAS's tables stand.")
@click.option("--prefix", "prefixes", multiple=True, metavar="NAME=IRI", help="A prefix that ODRAS's names use.")
@click.option("--source", metavar="CONNECTION:STREAM", help="Write a whole pipeline that reads this.")
@click.option("--key", "keys", multiple=True, metavar="FIELD", help="With --source: a field that identifies a row.")
@click.option("--to", default="odras_fuseki", show_default=True, help="With --source: where individuals go.")
@click.option("--check", "file", metavar="FILE", help="Tell how FILE differs from the mapping as it stands now.")
@click.option("--renames", is_flag=True, help="What became of properties, as rename steps; MAPPING is a class.")
def import_command(
    connection: str,
    mapping: str | None,
    schema: str,
    prefixes: tuple[str, ...],
    source: str | None,
    keys: tuple[str, ...],
    to: str,
    file: str | None,
    renames: bool,
    as_json: bool,
) -> None:
    """Read a mapping that ODRAS keeps (its name or id) as a `map` step; without one, list them. Nothing is written.

    Ends with 1 if something of it cannot be carried, or if FILE differs.
    """
    from data_workbench.pipelines.importing.reading import read_mapping

    session = Session()
    declared = read_pairs(prefixes, option="--prefix")
    kept = _kept(session, connection, schema)
    if renames:
        _say_renames(kept, mapping, as_json=as_json)
    elif mapping is None:
        _say_mappings([read_mapping(one, kept, declared) for one in kept.configs], as_json=as_json)
    else:
        found = read_mapping(kept.config(mapping), kept, declared)
        if file is not None:
            _say_differences(session, found, file, as_json=as_json)
            return
        wanted = _wanted(session, source, keys, to) if source is not None else None
        _say_imported(found, wanted, declared, as_json=as_json)


def _kept(session: Session, connection: str, schema: str) -> Kept:
    from data_workbench.connectors.registry import open_source
    from data_workbench.pipelines.importing.rows import read_kept

    with open_source(session.connections.get(connection), session.settings) as source:
        return read_kept(source, schema)


def _wanted(session: Session, source: str, keys: tuple[str, ...], to: str) -> Wanted:
    from data_workbench.pipelines.importing.writing import Wanted

    if not keys:
        raise UsageError(
            "a pipeline needs to know its rows", hint="add --key FIELD for each field that identifies a row"
        )
    connection, stream = split_dataset(source)
    kind = session.connections.get(to).kind
    if kind not in ("workbench_rdf", "neo4j"):
        raise UsageError(f"{to!r} is a connection of type {kind}", hint="individuals go to an RDF store, or to Neo4j")
    return Wanted(connection, stream, keys, to, "nodes" if kind == "neo4j" else "resource")


def _say_mappings(found: list[Imported], *, as_json: bool) -> None:
    if as_json:
        say_json({"mappings": [_told(one) for one in found]})
        return
    rows = [
        [
            one.config.name,
            one.config.id,
            one.config.target_class,
            one.config.source_format,
            len(one.lines),
            len(one.lost),
        ]
        for one in found
    ]
    say_table(["mapping", "id", "class", "format", "lines", "not carried"], rows)


def _told(one: Imported) -> dict[str, Any]:
    config = one.config
    return {
        "mapping": config.name,
        "id": config.id,
        "class": one.class_iri or None,
        "graph": config.graph or None,
        "format": config.source_format,
        "active": config.is_active,
        "map": [line.model_dump(mode="json", by_alias=True, exclude_defaults=True) for line in one.lines],
        "not_carried": [asdict(lost) for lost in one.lost],
        "notes": list(one.notes),
    }


def _say_imported(found: Imported, wanted: Wanted | None, prefixes: dict[str, str], *, as_json: bool) -> None:
    from data_workbench.pipelines.importing.writing import pipeline_lines, step_lines

    lines = list(pipeline_lines(found, wanted, prefixes) if wanted is not None else step_lines(found, prefixes))
    if as_json:
        say_json(_told(found) | {"text": "\n".join(lines) + "\n"})
    else:
        click.echo("\n".join(lines))
    if found.lost:
        sys.exit(1)


def _say_differences(session: Session, found: Imported, file: str, *, as_json: bool) -> None:
    from data_workbench.pipelines.importing.differences import differences

    changed = differences(load(session, file).spec, found.lines)
    if as_json:
        say_json(_told(found) | {"differences": [asdict(one) for one in changed]})
    else:
        say_table(
            ["target", "in the file", "in ODRAS"],
            [[one.target, *(_line(said) for said in (one.here, one.there))] for one in changed],
        )
    if changed:
        sys.exit(1)


def _line(said: dict[str, Any] | None) -> str | None:
    return None if said is None else ", ".join(f"{name}: {value}" for name, value in said.items() if name != "target")


def _say_renames(kept: Kept, class_name: str | None, *, as_json: bool) -> None:
    from data_workbench.pipelines.importing.renames import all_renames
    from data_workbench.pipelines.importing.writing import rename_lines

    found = all_renames(kept, class_name=class_name)
    if as_json:
        documents = [
            {
                "graph": one.graph,
                "class": one.class_name,
                "rename": one.names,
                "not_carried": [asdict(lost) for lost in one.lost],
            }
            for one in found
        ]
        say_json({"renames": documents})
    else:
        click.echo("\n".join(line for one in found for line in rename_lines(one)))
    if any(one.lost for one in found):
        sys.exit(1)
