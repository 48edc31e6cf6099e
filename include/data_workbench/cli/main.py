"""The command line: which modules add commands, and how an error of any of them is answered."""

from __future__ import annotations

import gc
import logging
import sys

import click

from data_workbench.cli.answer import fail, say_json
from data_workbench.cli.root import root
from data_workbench.errors import UsageError, WorkbenchError

_COLLECTOR = (50_000, 20, 50)
"""The cycle collector's thresholds. A small command is mostly the import of a thousand modules, all of which stay: to
walk them again and again, as it does by default from 700 new objects on, takes a tenth of the time."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: wrong usage is answered like every other error, in JSON if asked for."""
    gc.set_threshold(*_COLLECTOR)
    from data_workbench.cli import (  # noqa: F401  # they add commands
        archive,
        archived,
        audit,
        backfill,
        backup,
        catalog,
        changes,
        checking,
        connections,
        contracts,
        importing,
        incidents,
        lineage,
        local,
        mapping,
        pipelines,
        profiling,
        recover,
        restore,
        retrieve,
        scaffold,
        stores,
        testing,
        tokens,
        undelete,
        unusual,
    )

    given = sys.argv[1:] if arguments is None else arguments
    try:
        root.main(args=given, prog_name="workbench", standalone_mode=False)
    except click.exceptions.Abort:  # click's name for Ctrl-C
        _say_last("Interrupted", "the command was interrupted", "run it again: a run goes on where it stopped", given)
        sys.exit(130)
    except click.ClickException as error:
        usage = UsageError(error.format_message(), hint=_help_hint(error))
        fail(usage, as_json="--json" in given)
    except WorkbenchError as error:
        fail(error, as_json="--json" in given)
    except Exception as error:  # the last stand: a defect of ours must not look like the user's mistake
        hint = "this is a defect of the workbench; run again with -vv for the traceback"
        _say_last("Defect", f"{type(error).__name__}: {str(error)[:500]}", hint, given)
        logging.getLogger("data_workbench").debug("traceback", exc_info=error)
        sys.exit(1)


def _help_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context else None


def _say_last(kind: str, message: str, hint: str, given: list[str]) -> None:
    """What ended a command without an error of ours."""
    if "--json" in given:
        say_json({"error": {"kind": kind, "message": message, "hint": hint, "run_id": None}})
    click.echo(f"{kind}: {message}\n  next: {hint}", err=True)
