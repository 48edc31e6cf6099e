"""`up`, `down`, `status`, `env`, `db`, `demo`: the local stack and the metastore."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session

if TYPE_CHECKING:
    from data_workbench.servers import ServiceStatus, Stack

STORES = ("postgres", "neo4j", "qdrant")


def _stack(session: Session) -> Stack:
    from data_workbench.provider.local import airflow_service
    from data_workbench.servers import Stack

    return Stack(session.settings, extra=[airflow_service(session.settings)])


def _tell(service: str, message: str) -> None:
    click.echo(f"  {service:<9} {message}", err=True)


@command(root)
@click.argument("services", nargs=-1)
@click.option("--airflow", "with_airflow", is_flag=True, help="Start Airflow too.")
def up(services: tuple[str, ...], with_airflow: bool, as_json: bool) -> None:
    """Start the local stack: PostgreSQL, Neo4j and a small Qdrant, all on 127.0.0.1."""
    session = Session()
    stack = _stack(session)
    chosen = list(services or STORES) + (["airflow"] if with_airflow and "airflow" not in services else [])
    stores = [name for name in chosen if name != "airflow"]
    if stores:
        stack.up(stores, _tell)
    if "postgres" in chosen:
        _upgrade(session)
    if "airflow" in chosen:
        stack.up(["airflow"], _tell)
    _say_status(stack.status(), as_json=as_json)


@command(root)
@click.argument("services", nargs=-1)
def down(services: tuple[str, ...], as_json: bool) -> None:
    """Stop what `up` started; data stays."""
    stack = _stack(Session())
    stack.down(list(services) or None, _tell)
    _say_status(stack.status(), as_json=as_json)


@command(root)
def status(as_json: bool) -> None:
    """How the local stack is; exit 1 if something of it has crashed or is blocked."""
    states = _stack(Session()).status()
    _say_status(states, as_json=as_json)
    if any(state.state in ("crashed", "blocked") for state in states):
        sys.exit(1)


@command(root)
def env(as_json: bool) -> None:
    """The local stack's AIRFLOW_CONN_* variables, for `eval "$(workbench env)"`; holds passwords."""
    import shlex

    variables = _stack(Session()).environment()
    if as_json:
        say_json({"environment": variables})
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@root.group()
def db() -> None:
    """The metastore: the workbench's own tables."""


@command(db)
def upgrade(as_json: bool) -> None:
    """Bring the metastore's tables to this version; safe to repeat."""
    revision = _upgrade(Session())
    if as_json:
        say_json({"revision": revision})
    else:
        click.echo(f"the metastore is at revision {revision}")


def _upgrade(session: Session) -> str:
    from data_workbench.connectors.metastore import open_metastore

    with open_metastore(session.connections.get(session.settings.metastore)) as metastore:
        return metastore.upgrade()


@command(root)
@click.option("--size", type=click.IntRange(1, 1000), default=1, show_default=True, help="Size factor of the seed.")
@click.option("--without-airflow", is_flag=True, help="Run the pipelines in this process instead of as DAG runs.")
def demo(size: int, without_airflow: bool, as_json: bool) -> None:
    """Start everything, seed an ODRAS database, run the shipped pipelines as DAG runs, show what came out."""
    from odras_demo.demo import run_demo

    session = Session()
    outcome = run_demo(session.settings, stack=_stack(session), size=size, with_airflow=not without_airflow, tell=_tell)
    if as_json:
        say_json(outcome.as_dict())
    else:
        outcome.say(say_table, click.echo)
    sys.exit(0 if outcome.succeeded else 1)


def _say_status(states: list[ServiceStatus], *, as_json: bool) -> None:
    if as_json:
        say_json({"services": [_plain(state) for state in states]})
        return
    say_table(
        ("service", "state", "port", "pid", "detail", "log"),
        [(s.name, s.state, str(s.port), str(s.pid or ""), s.detail, str(s.log)) for s in states],
    )


def _plain(state: ServiceStatus) -> dict[str, Any]:
    return {**asdict(state), "log": str(state.log)}
