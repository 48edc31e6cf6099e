"""`catalog`: the datasets that pipelines and others have told of."""

from __future__ import annotations

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session


@command(root)
@click.argument("search", required=False)
def catalog(search: str | None, as_json: bool) -> None:
    """Datasets with columns, owners, pipelines, checks and age; SEARCH finds in names and columns."""
    from data_workbench.lineage.catalogue import catalogue
    from data_workbench.lineage.graph import Graphs

    session = Session()
    with session.metastore as store:
        found = catalogue(Graphs().at(store), store, session.connections, search=search)
    if as_json:
        say_json({"datasets": found})
        return
    rows = [
        (
            one["name"],
            one["namespace"],
            len(one["columns"]),
            ", ".join(one["owners"]),
            ", ".join([*one["pipelines"], *one["jobs"]]),
            ", ".join(f"{count} {name}" for name, count in (one["checks"] or {}).items()) or None,
            one["last_written"] and one["last_written"][:16].replace("T", " "),
        )
        for one in found
    ]
    say_table(("dataset", "namespace", "columns", "owners", "written by", "checks", "last written"), rows)
