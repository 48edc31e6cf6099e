"""`connections` and `discover`: what is configured, does it answer, what is in it."""

from __future__ import annotations

import sys
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import StreamUnknown, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.base import Stream
    from data_workbench.health import Examination

_OPTIONAL = ("odras_fuseki", "airflow_metadata")
"""Of the local stack, which runs without them, too."""


@root.group()
def connections() -> None:
    """Connections the workbench can use."""


@command(connections)
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Ask each store how it is, and keep the answers; all configured connections if none is named."""
    session = Session()
    found = [_examine(session, name) for name in names or configured(session)]
    _keep(session, found)
    rows = [_as_row(one) for one in found]
    if as_json:
        say_json({"connections": rows})
    else:
        told = [(row["name"], row["state"], _milliseconds(row["latency"]), row["cause"]) for row in rows]
        say_table(("connection", "state", "answers in", "cause"), told)
    if any(row["state"] == "broken" for row in rows):
        sys.exit(1)


def configured(session: Session) -> list[str]:
    """Connections the environment or the local stack names; those of other programs (mail, HTTP) are left alone."""
    from data_workbench.connectors.connections import ids_of_environment
    from data_workbench.connectors.registry import CONNECTORS

    left_out = set(_OPTIONAL) - ids_of_environment()
    return [
        name
        for name in session.connections.ids()
        if name not in left_out and _kind(session, name) in (None, *CONNECTORS)
    ]


def _kind(session: Session, name: str) -> str | None:
    """A connection's type; None if it cannot be read, which its check tells."""
    try:
        return session.connections.get(name).kind
    except WorkbenchError:
        return None


def _examine(session: Session, name: str) -> Examination:
    from data_workbench.health.examining import examine, unreadable

    try:
        return examine(session.connections.get(name), session.settings)
    except WorkbenchError as error:
        return unreadable(name, error)


def _keep(session: Session, found: list[Examination]) -> None:
    """Keep states and history, and tell what changed; a check answers without the metastore, too."""
    from data_workbench.health.watching import watch
    from data_workbench.notifications import deliver
    from data_workbench.provider.alerting import route_names, routes

    try:
        with session.metastore as metastore:
            for one in found:
                watch(metastore, one, routes=route_names(session.settings))
            deliver(metastore, routes(session.settings, session.connections, None))
    except WorkbenchError as error:
        click.echo(f"not kept: {error.message}", err=True)


def _as_row(one: Examination) -> dict[str, Any]:
    return {
        "name": one.connection,
        "state": one.verdict.state,
        "cause": one.verdict.cause,
        "version": one.version,
        "latency": median(one.latencies) if one.latencies else None,
        "vitals": one.vitals_as_json(),
    }


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"


@command(root)
@click.argument("connection")
@click.argument("pattern", required=False)
@click.option("--history", is_flag=True, help="The schemas that runs have seen of the stream named by PATTERN.")
def discover(connection: str, pattern: str | None, history: bool, as_json: bool) -> None:
    """Streams a connection can read: tables, labels, collections, files."""
    from data_workbench.connectors.registry import open_source

    session = Session()
    if history:
        _show_history(session, connection, pattern or "", as_json=as_json)
        return
    with open_source(session.connections.get(connection), session.settings) as source:
        streams = source.discover(pattern)
    if as_json:
        say_json({"connection": connection, "streams": [_plain(stream) for stream in streams]})
        return
    say_table(
        ("stream", "kind", "columns", "rows (estimate)", "key"),
        [(s.name, s.kind, len(s.schema), s.estimated_rows, ", ".join(s.key)) for s in streams],
    )


def _show_history(session: Session, connection: str, stream: str, *, as_json: bool) -> None:
    from data_workbench.metastore import stream_schemas

    with session.metastore as metastore:
        versions = stream_schemas.history(metastore, connection, stream)
    if not versions:
        raise StreamUnknown(
            f"no run has seen a schema of {stream!r} over {connection!r} yet",
            hint="name one stream as a pipeline does: workbench discover CONNECTION STREAM --history",
        )
    if as_json:
        say_json({"connection": connection, "stream": stream, "versions": [vars(one) for one in versions]})
        return
    told = [(v.version, f"{v.seen:%Y-%m-%d %H:%M:%S}", len(v.columns), "; ".join(v.changes)) for v in versions]
    say_table(("version", "first seen", "columns", "changes"), told)


def _plain(stream: Stream) -> dict[str, Any]:
    from data_workbench.records.types import native_type

    return {
        "name": stream.name,
        "kind": stream.kind,
        "key": list(stream.key),
        "estimated_rows": stream.estimated_rows,
        "comment": stream.comment,
        "columns": [
            {"name": item.name, "type": native_type(item) or str(item.type), "nullable": item.nullable}
            for item in stream.schema
        ],
    }
