"""How a command answers: tables for people, one JSON document for programs, errors in one block."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NoReturn, TypeVar

import click

from data_workbench.errors import DefinitionError, WorkbenchError

Function = TypeVar("Function", bound=Callable[..., Any])


def command(group: click.Group, name: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """Declare a command of a group: `--json` is added, and errors are answered as the public surface says."""

    def declare(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except WorkbenchError as error:
                fail(error, as_json=bool(kwargs.get("as_json")))

        option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
        return group.command(name)(option(guarded))

    return declare


def fail(error: WorkbenchError, *, as_json: bool) -> NoReturn:
    """Say an error and leave with its exit code."""
    if as_json:
        body: dict[str, Any] = {}
        if isinstance(error, DefinitionError):
            body["findings"] = [vars(finding) for finding in error.findings]
        say_json({**body, "error": error.as_dict()})
    say_error(error)
    sys.exit(error.exit_code)


def say_error(error: WorkbenchError) -> None:
    """One readable block on stderr, without a traceback."""
    if isinstance(error, DefinitionError):
        click.echo(error.message, err=True)
        return
    click.echo(f"{error.kind}: {error.message}", err=True)
    if error.hint:
        click.echo(f"  next: {error.hint}", err=True)
    if error.run_id:
        click.echo(f"  run:  {error.run_id}", err=True)


def say_json(document: Any) -> None:
    """Write the one document."""
    click.echo(json.dumps(document, default=_plain, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def say_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """A table for people; numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(header_style="bold", show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) or row[index] is None for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("–" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    # Where no terminal tells how wide it is, 80 columns would cut run ids in two.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    if title:
        # Not the table's own title, which is broken where the table is narrow.
        console.print(title, style="italic", markup=False)
    console.print(table)


def read_pairs(pairs: Sequence[str], *, option: str = "--param") -> dict[str, str]:
    """`k=v` options as a dictionary. Raises click.UsageError for others."""
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} {pair!r} is not of the form NAME=VALUE")
        values[name] = value
    return values
