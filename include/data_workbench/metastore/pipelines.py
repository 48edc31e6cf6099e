"""What pipelines were defined, and when each was first and last seen."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore import audit
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.runs import pipelines
from data_workbench.records.values import storable


def register(
    store: Metastore, name: str, *, definition_hash: str, definition: str, by: audit.Author | None = None
) -> None:
    """Note the definition a pipeline is run with now; one that differs from the last goes into the audit trail."""
    values = {"definition_hash": definition_hash, "definition": storable(definition), "last_seen": func.now()}
    statement = insert(pipelines).values(name=name, first_seen=func.now(), **values)
    before = select(pipelines.c.definition_hash).where(pipelines.c.name == name).with_for_update()
    with store.transaction() as connection:
        last = connection.scalar(before)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
        if last != definition_hash:
            details = {"definition_hash": definition_hash, "before": last}
            audit.append(connection, by or audit.Author.of_process(), audit.Act("definition.changed", name, details))


def definition(store: Metastore, name: str) -> str | None:
    """The text a pipeline was last run with."""
    with store.transaction() as connection:
        return connection.scalar(select(pipelines.c.definition).where(pipelines.c.name == name))


def names(store: Metastore) -> list[str]:
    """All pipelines ever run, by name."""
    with store.transaction() as connection:
        return list(connection.scalars(select(pipelines.c.name).order_by(pipelines.c.name)))
