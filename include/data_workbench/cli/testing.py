"""`test`: unit tests of pipelines, in this process and without any server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from data_workbench.cli.answer import command, say_json
from data_workbench.cli.pipelines import find_definition
from data_workbench.cli.root import root
from data_workbench.cli.session import Session

if TYPE_CHECKING:
    from data_workbench.pipelines.testing.running import Outcome


@command(root)
@click.argument("paths", nargs=-1, required=True)
@click.option("--only", metavar="TEXT", help="Only tests whose name holds this text.")
def test(paths: tuple[str, ...], as_json: bool, only: str | None) -> None:
    """Run the unit tests in test files, folders, or beside pipelines; needs no server, connection or metastore."""
    from data_workbench.records.arrow import prepare_process

    prepare_process()
    from data_workbench.pipelines.testing.files import load_cases
    from data_workbench.pipelines.testing.running import run_cases

    session = Session()
    found = [Path(path) if Path(path).exists() else find_definition(session, path) for path in paths]
    outcomes: list[Outcome] = []
    for file in load_cases(found, settings=session.settings):
        for outcome in run_cases(file, settings=session.settings, only=only):
            outcomes.append(outcome)
            if not as_json:
                _say(outcome)
    failed = sum(not one.passed for one in outcomes)
    if as_json:
        passed = len(outcomes) - failed
        say_json({"tests": [one.as_dict() for one in outcomes], "passed": passed, "failed": failed})
    else:
        click.echo(f"{len(outcomes)} test{'s' if len(outcomes) != 1 else ''}, {failed or 'none'} failed")
    if failed:
        sys.exit(1)


def _say(outcome: Outcome) -> None:
    click.echo(f"{'passed' if outcome.passed else 'FAILED'}  {outcome.pipeline}: {outcome.name}")
    for difference in outcome.differences:
        click.echo(f"  {difference.file}:{difference.line}:{difference.column}: {difference.message}")
