"""Schema `_workbench` of a destination database, and the progress of loads in it.

    checkpoints   how far each load of each run has come, committed with the part it describes
    rejections    rows the server refused, committed likewise, so that a restart still knows them
    tables        which tables the workbench created; only those are ever altered
    owned_keys    which rows each pipeline wrote (see ownership.py)

Created on demand by the first load.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from data_workbench.connectors.base import Progress, Rejection
from data_workbench.connectors.postgres.notes import say_who
from data_workbench.errors import AccessDenied
from data_workbench.mapping.targets import LoadContext, TableTarget
from data_workbench.records.accounting import WriteCounts

SCHEMA = "_workbench"
_KEPT_DAYS = 90

_CREATE = """
CREATE SCHEMA IF NOT EXISTS _workbench;
COMMENT ON SCHEMA _workbench IS 'Checkpoints and ownership of the Data Management Workbench; dropping it forgets both';
CREATE TABLE IF NOT EXISTS _workbench.checkpoints (
    pipeline text NOT NULL, destination text NOT NULL, target text NOT NULL, run_id text NOT NULL,
    parts integer NOT NULL, counts jsonb NOT NULL, finished boolean NOT NULL DEFAULT false, position jsonb,
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (pipeline, destination, target, run_id));
CREATE TABLE IF NOT EXISTS _workbench.rejections (
    pipeline text NOT NULL, destination text NOT NULL, target text NOT NULL, run_id text NOT NULL,
    part integer NOT NULL, key jsonb NOT NULL, rule text NOT NULL, reason text NOT NULL);
CREATE INDEX IF NOT EXISTS rejections_by_run ON _workbench.rejections (pipeline, destination, target, run_id);
CREATE TABLE IF NOT EXISTS _workbench.tables (
    table_name text PRIMARY KEY, pipeline text NOT NULL, columns jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now());
CREATE TABLE IF NOT EXISTS _workbench.owned_keys (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL, destination text NOT NULL, table_name text NOT NULL,
    gone boolean NOT NULL, amount integer NOT NULL, hashes bytea NOT NULL);
ALTER TABLE _workbench.owned_keys ALTER COLUMN hashes SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS owned_keys_by_table ON _workbench.owned_keys (pipeline, destination, table_name, id);
"""
# Any number: two loads that start at once must not create a schema twice.
_LOCK = 7_201_843_551


def exists(connection: psycopg.Connection) -> bool:
    """Whether the schema is there."""
    row = connection.execute("SELECT pg_catalog.to_regclass('_workbench.owned_keys') IS NOT NULL").fetchone()
    return bool(row and row[0])


def one_at_a_time(connection: psycopg.Connection) -> None:
    """Until the transaction ends no other load creates a schema: IF NOT EXISTS does not see one under way."""
    connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", (_LOCK,))
    # Waiting for an advisory lock does not tell the session of schemas made meanwhile; locking a table does.
    connection.execute("SELECT FROM pg_catalog.pg_namespace LIMIT 0")


def ensure(connection: psycopg.Connection, address: str) -> None:
    """Create the schema if it is missing.

    Raises:
        AccessDenied: the role may not; says what to grant.
    """
    if exists(connection):
        return
    try:
        with connection.transaction():
            one_at_a_time(connection)
            connection.execute(_CREATE)
    except psycopg.errors.InsufficientPrivilege as error:
        role, database = connection.info.user, connection.info.dbname
        raise AccessDenied(
            f"PostgreSQL {address}: role {role} may not create schema _workbench for checkpoints and ownership",
            hint=(
                f'GRANT CREATE ON DATABASE "{database}" TO "{role}", or CREATE SCHEMA _workbench AUTHORIZATION "{role}"'
            ),
        ) from error


@dataclass(frozen=True)
class Checkpoint:
    """The row of one target in one run."""

    context: LoadContext
    target: TableTarget

    @property
    def _key(self) -> tuple[str, str, str, str]:
        context = self.context
        return context.pipeline, context.destination, f"{context.target_index}:{self.target.table}", context.run_id

    def load(self, connection: psycopg.Connection) -> tuple[Progress, list[Rejection], dict[str, Any] | None]:
        """Progress, rejections so far, and a fused load's source position."""
        where = "WHERE pipeline = %s AND destination = %s AND target = %s AND run_id = %s"
        query = f"SELECT parts, counts, finished, position FROM _workbench.checkpoints {where}"
        row = connection.execute(query, self._key).fetchone()
        if row is None:
            return Progress(), [], None
        rejected = connection.execute(
            f"SELECT key, rule, reason FROM _workbench.rejections {where} ORDER BY part", self._key
        )
        progress = Progress(parts=row[0], counts=WriteCounts.from_dict(row[1]), finished=row[2])
        return progress, [Rejection(*one) for one in rejected], row[3]

    def save(self, connection: psycopg.Connection, progress: Progress, position: dict[str, Any] | None = None) -> None:
        """Write the row, in the transaction of what it describes."""
        say_who(connection, self.context)
        connection.execute(
            """INSERT INTO _workbench.checkpoints AS c
                   (pipeline, destination, target, run_id, parts, counts, finished, position)
               VALUES (%s, %s, %s, %s, %s, %s::jsonb, %s, %s::jsonb)
               ON CONFLICT (pipeline, destination, target, run_id) DO UPDATE
               SET parts = excluded.parts, counts = excluded.counts, finished = excluded.finished,
                   position = excluded.position, updated_at = pg_catalog.now()""",
            (
                *self._key,
                progress.parts,
                json.dumps(progress.counts.as_dict()),
                progress.finished,
                None if position is None else json.dumps(position),
            ),
        )

    def save_rejections(self, connection: psycopg.Connection, part: int, rejections: Sequence[Rejection]) -> None:
        """Note rows the server refused."""
        if not rejections:
            return
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO _workbench.rejections VALUES (%s, %s, %s, %s, %s, %s::jsonb, %s, %s)",
                [
                    (
                        *self._key,
                        part,
                        json.dumps(dict(one.key), default=str).replace("\\u0000", "\\ufffd"),
                        one.rule,
                        one.reason,
                    )
                    for one in rejections
                ],
            )

    def forget_old(self, connection: psycopg.Connection) -> None:
        """Drop rows of runs too old to be restarted."""
        old = f"updated_at < pg_catalog.now() - interval '{_KEPT_DAYS} days'"
        connection.execute(
            f"""DELETE FROM _workbench.rejections r USING _workbench.checkpoints c
                WHERE c.{old} AND c.pipeline = r.pipeline AND c.destination = r.destination
                  AND c.target = r.target AND c.run_id = r.run_id AND r.pipeline = %s""",
            (self.context.pipeline,),
        )
        connection.execute(
            f"DELETE FROM _workbench.checkpoints WHERE pipeline = %s AND {old}", (self.context.pipeline,)
        )
