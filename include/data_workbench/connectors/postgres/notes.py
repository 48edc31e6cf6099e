"""A word in the server's log about who writes, for whoever watches it: which run, of which pipeline.

Said in the transaction of what is written, and only where somebody listens: a message costs a record of the log.
https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import psycopg

    from data_workbench.mapping.targets import LoadContext

PREFIX: Final = "workbench"
_LISTENS = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_replication_slots
               WHERE plugin = 'pgoutput' AND database = pg_catalog.current_database())
   AND (SELECT bool_and(pg_catalog.has_function_privilege(oid, 'EXECUTE')) FROM pg_catalog.pg_proc
        WHERE proname = 'pg_logical_emit_message' AND pronamespace = 'pg_catalog'::regnamespace)
"""


def say_who(connection: psycopg.Connection, context: LoadContext) -> None:
    """Note the run within the transaction that is open."""
    row = connection.execute(_LISTENS).fetchone()
    if row and row[0]:
        told = json.dumps({"run_id": context.run_id, "pipeline": context.pipeline})
        connection.execute("SELECT pg_catalog.pg_logical_emit_message(true, %s, %s)", (PREFIX, told))
