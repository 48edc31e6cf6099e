"""`backup undelete`: a locked repository as it was before somebody removed things from it or wrote over them."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click

from data_workbench.cli.answer import command, say_json
from data_workbench.cli.backup import backup, open_repository, repository_option
from data_workbench.cli.session import Session
from data_workbench.errors import WorkbenchError


@command(backup)
@repository_option
def undelete(repository: str | None, as_json: bool) -> None:
    """Bring back what was removed or written over while it was locked; exit 1 if a file has no right version left."""
    from data_workbench.audit import recorded
    from data_workbench.backup.undeleting import undelete as bring_back

    session = Session()
    vault = open_repository(session, repository)
    with ExitStack() as told:
        outcome: dict[str, int] = {}
        try:
            metastore = told.enter_context(session.metastore)
            outcome = told.enter_context(recorded(metastore, "backup.undelete", vault.address, details={}))
        except WorkbenchError as error:  # it may be what is to be brought back
            click.echo(f"not in the audit trail: {error.message}", err=True)
        done = bring_back(vault)
        outcome |= {name: len(paths) for name, paths in vars(done).items()}
    if as_json:
        say_json({"repository": vault.address, **vars(done)})
    else:
        click.echo(f"{len(done.brought_back)} files brought back, {len(done.put_right)} put right")
        for path in done.lost:
            click.echo(f"no version of it is right: {path}")
    if done.lost:
        sys.exit(1)
