"""Deleting by key what a pipeline owns."""

from __future__ import annotations

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.connectors.postgres import keys as by_key
from data_workbench.connectors.postgres.catalogue import Table
from data_workbench.connectors.postgres.ownership import Ownership, key_hash


def delete_owned(connection: psycopg.Connection, table: Table, ownership: Ownership, keys: pa.Table) -> int:
    """Delete the owned rows with these keys, and note them as gone; how many. Within a transaction."""
    deleted = 0
    hash_sql = sql.SQL(key_hash(ownership.key))
    name = sql.SQL(table.relation.sql)
    for condition in by_key.conditions(connection, table, keys):
        query = sql.SQL("SELECT {} FROM {} WHERE {} FOR UPDATE").format(hash_sql, name, condition)
        found = pa.array([row[0] for row in connection.execute(query)], pa.int64())
        mine = found.filter(ownership.are_owned(connection, found))
        if not len(mine):
            continue
        owned = by_key.array_of(pa.chunked_array([mine]))
        statement = sql.SQL("DELETE FROM {} WHERE {} AND {} = ANY({}::int8[])").format(name, condition, hash_sql, owned)
        deleted += connection.execute(statement).rowcount
        ownership.add_hashes(connection, np.unique(mine.to_numpy()), gone=True)
    return deleted
