"""`token`: for machines that ask the API, one kind of thing each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session

if TYPE_CHECKING:
    from data_workbench.metastore.tokens import Token


_SCOPES = click.Choice(["metrics", "lineage:write"])


@root.group()
def token() -> None:
    """Scoped tokens for machines that ask the API: made once, kept as a hash, revocable."""


@command(token)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["metrics", "lineage:write"]),
    required=True,
    help="What it is for.",
)
@click.option("--days", type=click.IntRange(1, 3_650), help="How long it is taken; without end if left out.")
def create(name: str, scopes: Sequence[Any], days: int | None, as_json: bool) -> None:
    """Make a token; it is shown this once."""
    from data_workbench.metastore import tokens

    ends = datetime.now(UTC) + timedelta(days=days) if days else None
    with Session().metastore as store:
        made, text = tokens.create(store, name, scopes, expires=ends)
    if as_json:
        say_json({**_told(made), "token": text})
    else:
        click.echo(text)
        click.echo(f"token {made.id} ({name}) has the scope {', '.join(made.scopes)}; it is not shown again", err=True)


@command(token, "list")
def list_(as_json: bool) -> None:
    """All tokens, newest first; never their text."""
    from data_workbench.metastore import tokens

    with Session().metastore as store:
        found = [_told(one) for one in tokens.list_tokens(store)]
    if as_json:
        say_json({"tokens": found})
        return
    columns = ("id", "name", "state", "scopes", "created", "created_by", "expires", "last_used")
    say_table(columns, [[_cell(one[name]) for name in columns] for one in found])


@command(token)
@click.argument("id")
def revoke(id: str, as_json: bool) -> None:  # noqa: A002  # the argument's name in the help
    """Take a token back, at once and for good."""
    from data_workbench.metastore import tokens

    with Session().metastore as store:
        found = tokens.revoke(store, id)
    if as_json:
        say_json(_told(found))
    else:
        click.echo(f"token {found.id} ({found.name}) is revoked")


def _told(one: Token) -> Mapping[str, Any]:
    return {**vars(one), "state": one.state}


def _cell(value: Any) -> str | None:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return ", ".join(value) if isinstance(value, list) else value
