"""`incidents`: contracts that do not hold, who has seen it, and until when nobody wants to hear of it."""

from __future__ import annotations

import getpass

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.main import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError


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
    _change(incident, as_json=as_json, acknowledged_by=getpass.getuser())


@command(incidents)
@click.argument("incident", type=int)
@click.option("--for", "hours", type=click.FloatRange(min=0, max=24 * 90), default=24.0, help="Hours; 24 by default.")
def snooze(incident: int, hours: float, as_json: bool) -> None:
    """Hear nothing more of it for some time."""
    from datetime import UTC, datetime, timedelta

    _change(incident, as_json=as_json, snoozed_until=datetime.now(UTC) + timedelta(hours=hours))


def _change(incident: int, *, as_json: bool, **values: object) -> None:
    from data_workbench.metastore import incidents as store

    with Session().metastore as metastore:
        if not store.change(metastore, incident, **values):
            raise UsageError(f"there is no open incident {incident}", hint="`workbench incidents list` lists them")
        [found] = [one for one in store.latest(metastore, limit=10_000) if one.id == incident]
    if as_json:
        say_json({"incident": vars(found)})
    else:
        click.echo(f"incident {incident} of contract {found.contract} is noted")
