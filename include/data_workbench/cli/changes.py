"""`changes`: what others change in watched streams, found and told."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, read_pairs, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session

if TYPE_CHECKING:
    from data_workbench.watching import Pass


@root.group()
def changes() -> None:
    """Changes of watched tables, nodes and points, whoever makes them."""


@command(changes)
@click.option("--every", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Look again and again, until Ctrl-C.")
def watch(every: float | None, as_json: bool) -> None:
    """Look once at all that WORKBENCH_WATCHES names; exit 1 if some of it cannot be watched."""
    from data_workbench.pipelines.watch_files import watch_once

    session = Session()
    with session.metastore as store:
        while True:
            done = watch_once(store, session.connections, session.settings)
            _say(done, as_json=as_json)
            if every is None:
                break
            time.sleep(every)
    if done.troubles:
        sys.exit(1)


def _say(done: Pass, *, as_json: bool) -> None:
    if as_json:
        say_json(done.as_dict())
        return
    for address, count in done.found.items():
        click.echo(f"{address}: {count:,} changes")
    for address in done.ended:
        click.echo(f"{address} is watched no longer")
    for address, trouble in done.troubles.items():
        click.echo(f"{address}: {trouble}", err=True)


@command(changes, "list")
def list_watches(as_json: bool) -> None:
    """What is watched, how, when last, and the slots that keep log on servers."""
    from data_workbench.metastore import watches

    with Session().metastore as store:
        found, slots = watches.listed(store), watches.slots(store)
    if as_json:
        say_json({"watches": [vars(one) for one in found], "slots": [vars(one) for one in slots.values()]})
        return
    rows = [(f"{one.connection}:{one.stream}", one.how, ", ".join(one.key), one.seen,
             "" if one.checked is None else f"{one.checked:%Y-%m-%d %H:%M:%S}") for one in found]  # fmt: skip
    say_table(("watched", "how", "key", "changes", "last looked at"), rows)
    for one in slots.values():
        click.echo(f"slot {one.slot} of {one.connection}: read up to {one.position or 'nothing yet'}")


@command(changes)
@click.argument("dataset")
@click.argument("key", nargs=-1, metavar="[COLUMN=VALUE...]")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1_000, help="The last so many; 1000 by default.")
def show(dataset: str, key: tuple[str, ...], limit: int, as_json: bool) -> None:
    """What was found in CONNECTION:STREAM, of all keys or one, oldest first."""
    from data_workbench.pipelines.record_tracing import watched_changes

    named = read_pairs(key, option="the key") if key else None
    with Session().metastore as store:
        found = watched_changes(store, dataset, key=named, limit=limit)
    if as_json:
        say_json(found)
        return
    rows = [
        (one["at"], one["what"], _key(one), ", ".join(one["changed"] or ()), one["actor"] or "", one["run_id"] or "",
         one["reason"] or "")
        for one in found["events"]
    ]  # fmt: skip
    say_table(("when", "what", "key", "columns", "who", "run", "why"), rows, title=dataset)
    for one in found["schemas"]:
        click.echo(f"schema changed {one['at']}: {'; '.join(one['changes'])}")


def _key(event: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in (event["key"] or {}).items())
