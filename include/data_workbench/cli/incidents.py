"""`incidents`: contracts that do not hold, who has seen it, and until when nobody wants to hear of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.metastore.incidents import Incident


@root.group()
def incidents() -> None:
    """Contracts that do not hold."""


@command(incidents, "list")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
def list_incidents(everything: bool, as_json: bool) -> None:
    """Incidents, newest first."""
    from data_workbench.metastore import incidents as store

    with Session().metastore as metastore:
        found = store.latest(metastore, is_open=not everything)
    if as_json:
        say_json({"incidents": [vars(one) for one in found]})
        return
    rows = [
        (one.id, one.contract, one.severity, len(one.checks), f"{one.opened:%Y-%m-%d %H:%M}", one.acknowledged_by or "",
         "" if one.recovered is None else f"{one.recovered:%Y-%m-%d %H:%M}")
        for one in found
    ]  # fmt: skip
    say_table(("incident", "contract", "severity", "checks", "since", "acknowledged by", "over"), rows)


@command(incidents)
@click.argument("incident", type=int)
def acknowledge(incident: int, as_json: bool) -> None:
    """Say that somebody is at it: it is not told again."""
    from data_workbench.metastore import incidents as store
    from data_workbench.metastore.audit import Author

    with Session().metastore as metastore:
        _say(incident, store.acknowledge(metastore, incident, Author.of_process()), as_json=as_json)


@command(incidents)
@click.argument("incident", type=int)
@click.option("--for", "hours", type=click.FloatRange(min=0, max=24 * 90), default=24.0, help="Hours; 24 by default.")
def snooze(incident: int, hours: float, as_json: bool) -> None:
    """Hear nothing more of it for some time."""
    from datetime import UTC, datetime, timedelta

    from data_workbench.metastore import incidents as store
    from data_workbench.metastore.audit import Author

    until = datetime.now(UTC) + timedelta(hours=hours)
    with Session().metastore as metastore:
        _say(incident, store.snooze(metastore, incident, Author.of_process(), until=until), as_json=as_json)


def _say(number: int, found: Incident | None, *, as_json: bool) -> None:
    if found is None:
        raise UsageError(f"there is no open incident {number}", hint="`workbench incidents list` lists them")
    if as_json:
        say_json({"incident": vars(found)})
    else:
        click.echo(f"incident {number} of contract {found.contract} is noted")
