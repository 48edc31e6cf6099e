"""`lineage`: what depends on data and what it is made of, now and at a past time; handing out and keeping events."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.lineage.graph import Direction

_LISTED = 200
"""Rows of a table for people; `--json` has all."""


@root.group()
def lineage() -> None:
    """Where data comes from and goes to."""


def _scoped(function: Callable[..., Any]) -> Callable[..., Any]:
    as_of = click.option("--as-of", metavar="TIME", help="As it was then, such as 2026-11-23T10:15:00Z.")
    depth = click.option("--depth", type=click.IntRange(min=1), help="At most so many jobs away.")
    return as_of(depth(function))


@command(lineage)
@click.argument("dataset", required=False)
@click.option("--run", "run_id", help="What this run wrote, in place of a dataset: if it was wrong, what is wrong too.")
@_scoped
def impact(dataset: str | None, run_id: str | None, as_of: str | None, depth: int | None, as_json: bool) -> None:
    """What depends on DATASET: CONNECTION:DATASET, CONNECTION:DATASET.COLUMN, CONNECTION, or NAMESPACE/NAME."""
    from data_workbench.lineage.impact import trace_run
    from data_workbench.pipelines.consumers import with_readers

    if (dataset is None) == (run_id is None):
        raise UsageError("name either a dataset or a run", hint="workbench lineage impact odras_postgres:public.users")
    if dataset is not None:
        document = _traced(dataset, "downstream", as_of, depth)
        if as_of is None and depth is None:
            document = with_readers(document, dataset, Session().settings)
    else:
        with _graph(as_of) as (graph, store):
            document = trace_run(graph, store, str(run_id), depth=depth)
    _say(document, as_json=as_json)


@command(lineage)
@click.argument("dataset")
@_scoped
def origin(dataset: str, as_of: str | None, depth: int | None, as_json: bool) -> None:
    """What DATASET is made of, named as for `impact`."""
    _say(_traced(dataset, "upstream", as_of, depth), as_json=as_json)


@command(lineage)
@click.argument("dataset", required=False)
@click.option("--from", "first", required=True, metavar="TIME", help="The earlier moment, such as 2026-11-23.")
@click.option("--to", "last", metavar="TIME", help="The later one; now without it.")
def diff(dataset: str | None, first: str, last: str | None, as_json: bool) -> None:
    """What came and went between two moments: edges between datasets and columns, and columns of schemas."""
    from data_workbench.lineage.addresses import find
    from data_workbench.lineage.impact import difference

    session = Session()
    with _graph(first, session) as (before, store), _graph(last, session) as (after, _):
        only = find(dataset, after, session.connections).datasets if dataset else None
        document = difference(before, after, store, only=only)
    if as_json:
        say_json(document)
        return
    rows = [
        (sign, _called(one["input"]), _called(one["job"]), _called(one["output"]))
        for part in ("edges", "columns")
        for sign, found in document[part].items()
        for one in found
    ]
    say_table(("", "from", "by", "to"), rows[:_LISTED])
    for one in document["schemas"]:
        changed = [f"{name}: {types['from']} → {types['to']}" for name, types in one["changed"].items()]
        parts = {"added": one["added"], "removed": one["removed"], "changed": changed}
        click.echo(f"schema of {_called(one)}: " + "; ".join(f"{k} {', '.join(v)}" for k, v in parts.items() if v))


@command(lineage)
@click.argument("dataset")
@click.argument("key", nargs=-1, required=True, metavar="COLUMN=VALUE...")
@click.option("--here", is_flag=True, help="Only in this store; without it, wherever the same pipelines wrote the key.")
def record(dataset: str, key: tuple[str, ...], here: bool, as_json: bool) -> None:
    """The history of one record of CONNECTION:DATASET over all stores: runs, versions, batches, quarantine, changes."""
    from data_workbench.pipelines.record_tracing import trace_record

    wrong = [one for one in key if "=" not in one]
    if wrong:
        raise UsageError(f"{wrong[0]!r} is no key", hint="write it as COLUMN=VALUE, such as requirement_id=…")
    named = dict(one.partition("=")[::2] for one in key)
    with Session().metastore as store:
        found = trace_record(store, dataset, named, everywhere=not here)
    if as_json:
        say_json(found)
        return
    rows = [
        (one["at"], one["what"], f"{one.get('connection', 'quarantine')}:{one.get('dataset', one.get('record'))}",
         one.get("run_id") or "", one.get("actor") or one.get("by") or "", one.get("reason") or "")
        for one in found["events"]
    ]  # fmt: skip
    say_table(("when", "what", "where", "run", "who", "why"), rows, title=f"{dataset} {', '.join(key)}")


class _graph:  # noqa: N801  # a context manager that reads like a word
    """The graph as of a moment, and the metastore it is of."""

    def __init__(self, moment: str | None, session: Session | None = None) -> None:
        self._moment, self._session = moment, session or Session()

    def __enter__(self) -> Any:
        from data_workbench.lineage.graph import Graphs
        from data_workbench.lineage.impact import moment_of

        moment = moment_of(self._moment) if self._moment else None
        store = self._session.metastore
        return Graphs().at(store, moment), store

    def __exit__(self, *_: object) -> None:
        self._session.metastore.close()


def _traced(dataset: str, direction: Direction, as_of: str | None, depth: int | None) -> dict[str, Any]:
    from data_workbench.lineage.addresses import find
    from data_workbench.lineage.impact import trace

    session = Session()
    with _graph(as_of, session) as (graph, store):
        return trace(graph, store, find(dataset, graph, session.connections), direction, depth=depth)


def _called(item: dict[str, Any]) -> str:
    from data_workbench.lineage import DatasetName

    uri = DatasetName(item["namespace"], item["name"]).uri
    return uri if item.get("field") is None else f"{uri}.{item['field']}"


def _say(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(document)
        return
    datasets, columns = document["datasets"], document["columns"]
    say_table(
        ("dataset", "jobs away", "owners"),
        [(_called(one), one["depth"], ", ".join(one.get("owners", ()))) for one in datasets[:_LISTED]],
    )
    rows = [(_called(one), one["depth"], "values" if one["direct"] else "which rows") for one in columns[:_LISTED]]
    if rows:
        click.echo()
        say_table(("column", "jobs away", "by"), rows)
    if document["pipelines"]:
        click.echo()
        told = [(one["pipeline"] or _called(one), ", ".join(one["owners"])) for one in document["pipelines"]]
        say_table(("pipeline", "owners"), told)
    for one in document.get("blocked", ()):
        click.echo(f"blocked while it is down: {one['pipeline'] or _called(one)} ({', '.join(one['owners'])})")
    for one in document["consumers"]:
        click.echo(f"read by {_called(one) if one['kind'] == 'job' else _CONSUMERS[one['kind']] + one['title']}")
    for one in document["contracts"]:
        state = f"does not hold since {one['incident']['opened']}" if one["incident"] else "no incident is open"
        click.echo(f"contract {one['contract']} ({', '.join(one['owners']) or 'no owner'}): {state}")
    for check in document["checks"]:
        click.echo(f"checked by {check['pipeline']}: {check['dataset']}: {check['name']} ({check['outcome']})")
    if "runs" in document:
        click.echo(f"{len(document['runs'])} runs have read it since")
    left = max(0, len(datasets) - _LISTED) + max(0, len(columns) - _LISTED)
    click.echo(f"{len(datasets)} datasets, {len(columns)} columns" + (f"; {left} are not listed" if left else ""))


_CONSUMERS = {
    "alert_route": "alert route ",
    "subscription": "the schedule of pipeline ",
    "api_consumer": "caller of the API ",
}


@command(lineage)
def consumers(as_json: bool) -> None:
    """Tell lineage who takes data beside pipelines: alert routes, subscriptions, callers of the API."""
    from data_workbench.lineage import deliver_outbox
    from data_workbench.pipelines.consumer_lineage import tell_consumers

    session = Session()
    with session.metastore as store:
        changed = tell_consumers(store, session.connections, session.settings)
        done = deliver_outbox(session.settings, store, session.connections)
    if as_json:
        say_json({"changed": changed, "delivered": done.as_dict()})
    else:
        click.echo(f"{changed} consumers came, went, or read something else")


@command(lineage)
def deliver(as_json: bool) -> None:
    """Hand out the events that wait in this home's outbox; exit 1 if some must wait on."""
    from data_workbench.lineage import deliver_outbox

    session = Session()
    with session.metastore as store:
        done = deliver_outbox(session.settings, store, session.connections)
    if as_json:
        say_json(done.as_dict())
    else:
        click.echo(f"{done.sent} events delivered, {done.refused} refused, {done.torn} unfinished lines passed over")
        if done.trouble:
            click.echo(f"{done.waiting} files wait: {done.trouble}", err=True)
    if done.trouble or done.waiting:
        sys.exit(1)


@command(lineage)
def rebuild(as_json: bool) -> None:
    """Derive the graph again from the kept events; it comes out the same."""
    from data_workbench.lineage.facts import read_fact
    from data_workbench.metastore import lineage as graph

    with Session().metastore as store:
        count = graph.rebuild(store, read_fact)
    if as_json:
        say_json({"events": count})
    else:
        click.echo(f"the graph is derived from {count:,} events")
