"""The root command and its groups."""

from __future__ import annotations

import json
import logging
import os
import sys

import click

from data_workbench.cli.answer import fail, say_error
from data_workbench.errors import UsageError, WorkbenchError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="odras-data-workbench", prog_name="workbench")
@click.option("-v", "--verbose", count=True, help="Tell more on stderr; twice for everything.")
def root(verbose: int) -> None:
    """Pipelines, reconciliation and recovery over PostgreSQL, Neo4j, Qdrant and files."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("data_workbench").setLevel(level)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: wrong usage is answered like every other error, in JSON if asked for."""
    from data_workbench.cli import local, pipelines, stores  # noqa: F401  # they add their commands to `root`

    given = sys.argv[1:] if arguments is None else arguments
    try:
        root.main(args=given, prog_name="workbench", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        usage = UsageError(error.format_message(), hint=_help_hint(error))
        fail(usage, as_json="--json" in given)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("interrupted; run the command again to go on where it stopped", err=True)
        sys.exit(130)
    except WorkbenchError as error:
        say_error(error)
        sys.exit(error.exit_code)
    except Exception as error:  # the last stand: a defect of ours must not look like the user's mistake
        _say_defect(error, as_json="--json" in given)
        sys.exit(1)


def _help_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context else None


def _say_defect(error: Exception, *, as_json: bool) -> None:
    message = f"{type(error).__name__}: {str(error)[:500]}"
    hint = "this is a defect of the workbench; run again with -vv for the traceback"
    if as_json:
        click.echo(json.dumps({"error": {"kind": "Defect", "message": message, "hint": hint, "run_id": None}}))
    click.echo(f"Defect: {message}\n  next: {hint}", err=True)
    logging.getLogger("data_workbench").debug("traceback", exc_info=error)
