"""`backfill`: a pipeline over its partitions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, read_pairs, say_error, say_json, say_table
from data_workbench.cli.pipelines import load, params_option, runner
from data_workbench.cli.progress import backfill_shown
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.pipelines.backfill import Backfiller


@command(root)
@click.argument("pipeline")
@click.option("--from", "first", help="Where the first partition begins, such as 2026-01-01 or 1000.")
@click.option("--to", "last", help="Where the last one ends; what begins there is not among them.")
@click.option("--only", multiple=True, metavar="KEY", help="A partition by its key; may be given several times.")
@params_option
@click.option("--parallel", type=click.IntRange(1, 16), default=1, show_default=True, help="Partitions at a time.")
@click.option("--retry-failed", is_flag=True, help="Try the failed partitions of the same backfill again.")
@click.option("--dry-run", is_flag=True, help="Name the partitions; nothing is begun.")
@click.option("--requested-by", help="Who asked for it.")
@click.option("--correlation-id", help="The caller's own id for it.")
def backfill(pipeline: str, params: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Run a pipeline over its partitions, each exactly once; one that was killed goes on where it stopped."""
    from data_workbench.pipelines.backfill import Asked, Backfiller

    session = Session()
    definition = load(session, pipeline)
    asked = Asked(given.pop("first"), given.pop("last"), given.pop("only"), read_pairs(params))
    with runner(session) as engine:
        backfiller = Backfiller(engine)
        if given.pop("dry_run"):
            _say(backfiller.foresee(definition, asked, parallel=given["parallel"]), as_json=as_json)
            return
        found = backfiller.prepare(definition, asked, **given)
        error = _work(backfiller, definition, found.id, lanes=given["parallel"], as_json=as_json)
        document = backfiller.finish(found.id)
    _say({**document, "error": error.as_dict()} if error else document, as_json=as_json)
    if error:
        say_error(error)
    if error or document["state"] != "success":
        sys.exit(1)


def _work(
    backfiller: Backfiller, definition: Definition, backfill_id: str, *, lanes: int, as_json: bool
) -> WorkbenchError | None:
    counts = backfiller.document(backfill_id)["counts"]
    try:
        with backfill_shown(counts, as_json=as_json):
            backfiller.work(definition, backfill_id, lanes=lanes)
    except WorkbenchError as error:
        return error
    return None


def _say(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(document)
        return
    counts = ", ".join(f"{amount} {state}" for state, amount in document["counts"].items() if amount)
    click.echo(f"{document['pipeline']}: {len(document['partitions'])} partitions: {counts}")
    told = [one for one in document["partitions"] if one["state"] != "success" or len(document["partitions"]) <= 50]
    rows = [
        (one["key"], one["state"], one["run_id"], one["seconds"], (one["error"] or {}).get("message"))
        for one in told[:200]
    ]
    say_table(("partition", "state", "run", "seconds", "trouble"), rows)
