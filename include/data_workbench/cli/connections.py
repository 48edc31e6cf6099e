"""`connections list` and `connections types`: what is configured, what each store can do, what a connection holds."""

from __future__ import annotations

from typing import Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.session import Session
from data_workbench.cli.stores import configured, connections
from data_workbench.errors import WorkbenchError


@command(connections, name="list")
def list_(as_json: bool) -> None:
    """Configured connections and what their stores can do; asks no store."""
    session = Session()
    rows = [_listed(session, name) for name in configured(session)]
    if as_json:
        say_json({"connections": rows})
        return
    say_table(
        ("connection", "type", "address", "reads", "writes", "problem"),
        [
            (
                row["name"],
                row["type"],
                row["address"],
                _reads(row["source"]),
                _writes(row["destination"]),
                row["problem"],
            )
            for row in rows
        ],
    )


def _listed(session: Session, name: str) -> dict[str, Any]:
    from data_workbench.connectors.registry import abilities_of, spec_of

    row: dict[str, Any] = {"name": name, "type": None, "address": None, "source": None, "destination": None}
    try:
        connection = session.connections.get(name)
        able = abilities_of(connection.kind)
        row |= {"type": connection.kind, "address": connection.address, **vars(able)}
        spec_of(connection.kind).of(connection)
    except WorkbenchError as error:
        return row | {"problem": error.message}
    return row | {"problem": None}


@command(connections)
@click.argument("kind", metavar="[TYPE]", required=False)
def types(kind: str | None, as_json: bool) -> None:
    """Connection types with what their stores can do; of one TYPE every key its connection takes."""
    from data_workbench.connectors.registry import CONNECTORS

    rows = [_typed(one) for one in ([kind] if kind else CONNECTORS)]
    if as_json:
        say_json({"types": rows})
    elif kind:
        say_table(
            ("key", "type", "default", "meaning"),
            [(key["place"], key["type"], _default(key), key["meaning"]) for key in rows[0]["keys"]],
        )
    else:
        say_table(
            ("type", "store", "reads", "writes"),
            [(row["type"], row["title"], _reads(row["source"]), _writes(row["destination"])) for row in rows],
        )


def _typed(kind: str) -> dict[str, Any]:
    from data_workbench.connectors.registry import CONNECTORS, abilities_of, spec_of
    from data_workbench.connectors.spec import keys_of

    able = abilities_of(kind)
    keys = [vars(key) for key in keys_of(spec_of(kind))]
    return {"type": kind, "title": CONNECTORS[kind].title, **vars(able), "keys": keys}


def _default(key: dict[str, Any]) -> str:
    return "needed" if key["required"] else "" if key["default"] is None else str(key["default"])


def _reads(able: dict[str, Any] | None) -> str:
    if able is None:
        return "no"
    words = [name for name, value in able.items() if value is True]
    return ", ".join([*words, *able["powers"]]) or "yes"


def _writes(able: dict[str, Any] | None) -> str:
    if able is None:
        return "no"
    replace = f" (replace: {able['replace']})" if able["replace"] else ""
    return ", ".join(able["dispositions"]) + replace
