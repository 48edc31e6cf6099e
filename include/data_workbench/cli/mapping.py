"""`map suggest`: which columns of a dataset likely mean which of another, as a step to begin with.

`map invert`: the step that takes a mapping back. `map import` stands in `importing.py`.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.pipelines import load
from data_workbench.cli.profiling import split_dataset
from data_workbench.cli.root import root
from data_workbench.cli.session import Session

if TYPE_CHECKING:
    import pyarrow as pa


@root.group("map")
def map_group() -> None:
    """Mappings between the columns of datasets."""


@command(map_group, "suggest")
@click.argument("source")
@click.argument("target")
@click.option(
    "--sample", type=click.IntRange(min=0), default=1000, show_default=True, help="Rows read of each; 0: none."
)
@click.option("--least", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Lowest score of a pair.")
@click.option("--scores", is_flag=True, help="A table with what each score is made of, instead of the step.")
def suggest_command(source: str, target: str, sample: int, least: float, scores: bool, as_json: bool) -> None:
    """Propose the lines of a `map` step from SOURCE to TARGET, both CONNECTION:DATASET. Nothing is written.

    Names, types and sampled values are compared; no value is shown. Read what is proposed before it is used.
    """
    from data_workbench.records.arrow import prepare_process

    prepare_process()
    from data_workbench.transforms.suggestions import as_lines, suggest

    session = Session()
    ours, theirs = _sampled(session, source, sample), _sampled(session, target, sample)
    found = suggest(ours, theirs, least=least)
    paired = {one.source for one in found}
    document = {
        "mapping": [asdict(one) for one in found],
        "without_source": [name for name in theirs.schema.names if name not in {one.target for one in found}],
        "unused": [name for name in ours.schema.names if name not in paired],
    }
    if as_json:
        say_json(document)
    elif scores:
        rows = [[one.target, one.source, one.type or "", one.score, one.name, one.types, one.values] for one in found]
        say_table(["target", "source", "type", "score", "names", "types", "values"], rows)
    else:
        click.echo("\n".join(as_lines(found, theirs.schema.names, ours.schema.names)))


@command(map_group, "invert")
@click.argument("pipeline")
@click.argument("step")
def invert_command(pipeline: str, step: str, as_json: bool) -> None:
    """Turn the `map` step STEP of PIPELINE round: the lines that give back its input. Nothing is written.

    Ends with 1 if a column cannot be given back; which, and why, is told in any case.
    """
    from data_workbench.pipelines.inverting import inverse_of
    from data_workbench.pipelines.planning import compile_run
    from data_workbench.pipelines.stores import Stores
    from data_workbench.transforms.inversion import as_lines

    session = Session()
    definition = load(session, pipeline)
    with Stores(session.connections, session.settings) as stores:
        found = inverse_of(definition.spec, compile_run(definition, stores), step)
    if as_json:
        lines = [line.model_dump(mode="json", by_alias=True, exclude_defaults=True) for line in found.lines]
        say_json({"map": lines, "invertible": found.is_whole, "lost": dict(found.lost)})
    else:
        click.echo("\n".join(as_lines(found)))
    if not found.is_whole:
        sys.exit(1)


def _sampled(session: Session, dataset: str, most: int) -> pa.Table:
    import pyarrow as pa

    from data_workbench.connectors.base import ReadRequest
    from data_workbench.connectors.registry import open_source

    connection, stream = split_dataset(dataset)
    with open_source(session.connections.get(connection), session.settings) as source:
        reading = source.read(ReadRequest(stream=stream, limit=max(most, 1)))
        try:
            batches = list(islice(reading, 1000)) if most else []
            return pa.Table.from_batches(batches, schema=reading.schema).slice(0, most)
        finally:
            reading.close()
