"""Alembic runs this file; it uses the connection given to it and no other."""

from alembic import context

from data_workbench.metastore.migrations import VERSION_TABLE
from data_workbench.metastore.tables import metadata

connection = context.config.attributes["connection"]
if connection is None:
    raise RuntimeError("run migrations by `workbench db upgrade`")
context.configure(
    connection=connection, target_metadata=metadata, version_table=VERSION_TABLE, version_table_schema="public"
)
context.run_migrations()
