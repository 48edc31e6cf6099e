"""`lineage`: what is told of data's ways, handed out and kept."""

from __future__ import annotations

import sys

import click

from data_workbench.cli.answer import command, say_json
from data_workbench.cli.main import root
from data_workbench.cli.session import Session


@root.group()
def lineage() -> None:
    """Where data comes from and goes to."""


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
