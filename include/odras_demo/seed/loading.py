"""Puts the demo's rows into a PostgreSQL database: once, whole, and never over somebody else's data.

Everything happens in one transaction, by COPY from generators, so memory does not grow with the size and a killed
seeding leaves nothing. A row in `odras_demo.seeding` (a schema of our own) says that it was done and how.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from data_workbench.errors import AccessDenied, StoreUnavailable, UsageError
from odras_demo.schema import load_schema, schema_files
from odras_demo.seed import assistant, documents, events, faults, ontologies, organisation, requirement_rows
from odras_demo.seed.faults import PlantedFault, planted_faults
from odras_demo.seed.recipe import Recipe, Rows

if TYPE_CHECKING:
    from psycopg import Connection

Progress = Callable[[str, int], None]

# Raised when the rows made from the same size and seed change.
LAYOUT = 1
_PROGRESS_ROWS = 50_000
_LOCK = 0x0D8A5
_MARKER = """
CREATE SCHEMA IF NOT EXISTS odras_demo;
CREATE TABLE IF NOT EXISTS odras_demo.seeding (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    size integer NOT NULL,
    random_seed integer NOT NULL,
    layout integer NOT NULL,
    tables json NOT NULL,
    seeded_at timestamptz NOT NULL DEFAULT now()
);
"""


@dataclass(frozen=True)
class SeedReport:
    """What a seeding wrote, or had written before; `tables` counts rows as of the seeding."""

    size: int
    random_seed: int
    tables: dict[str, int]
    faults: list[PlantedFault] = field(default_factory=list)
    already_seeded: bool = False
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def seed(
    target: str | Connection[Any],
    *,
    size: int = 1,
    random_seed: int = 7,
    reset: bool = False,
    progress: Progress | None = None,
) -> SeedReport:
    """Create the schema and fill it; a database seeded alike is left as it is.

    Args:
        target: a connection string, or an open connection (then the caller's transaction, if any, is used).
        size: 1 is about 300 requirements, 40 files, 5k chunks and 20k events; all grow in proportion.
        random_seed: other seeds give other identifiers and draws, and the same texts.
        reset: empty a database seeded with another size or seed first.
        progress: told the table and the rows written to it so far.

    Raises:
        UsageError: a size below 1, or the database was seeded otherwise and `reset` was not given.
        AccessDenied: the database holds projects that this seeder did not write.
        StoreUnavailable: the server does not answer.
    """
    if size < 1:
        raise UsageError(f"size is {size}, the least is 1")
    began = time.monotonic()
    recipe = Recipe(size=size, random_seed=random_seed)
    with _connected(target) as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        load_schema(connection)
        connection.execute(_MARKER.encode())
        found = _marker(connection)
        known = planted_faults(random_seed=random_seed)
        if found is not None and found[:3] == (size, random_seed, LAYOUT):
            return SeedReport(size, random_seed, found[3], known, True, time.monotonic() - began)
        _make_room(connection, found, recipe, reset=reset)
        counts = _fill(connection, recipe, progress)
        connection.execute(
            "INSERT INTO odras_demo.seeding (size, random_seed, layout, tables) VALUES (%s, %s, %s, %s)",
            (size, random_seed, LAYOUT, json.dumps(counts)),
        )
    return SeedReport(size, random_seed, counts, known, False, time.monotonic() - began)


def rows(recipe: Recipe) -> Iterator[Rows]:
    """Everything that is written, in the order foreign keys need."""
    yield from organisation.tables(recipe)
    yield from documents.tables(recipe)
    yield from requirement_rows.tables(recipe)
    yield from ontologies.tables(recipe)
    yield from assistant.tables(recipe)
    yield from events.tables(recipe)
    yield from faults.tables(recipe)


@contextmanager
def _connected(target: str | Connection[Any]) -> Iterator[Connection[Any]]:
    import psycopg

    if not isinstance(target, str):
        yield target
        return
    try:
        connection = psycopg.connect(target)
    except psycopg.OperationalError as error:
        # The driver's own words may repeat the connection string.
        raise StoreUnavailable(
            "the PostgreSQL server to seed does not answer", hint="start it with `workbench up`, or check the address"
        ) from error
    with connection:
        yield connection


def _marker(connection: Connection[Any]) -> tuple[int, int, int, dict[str, int]] | None:
    return connection.execute("SELECT size, random_seed, layout, tables FROM odras_demo.seeding").fetchone()


def _make_room(
    connection: Connection[Any], found: tuple[int, int, int, dict[str, int]] | None, recipe: Recipe, *, reset: bool
) -> None:
    """See that nothing stands where the rows go."""
    if found is None:
        strangers = connection.execute("SELECT count(*) FROM projects").fetchone()
        if strangers and strangers[0]:
            raise AccessDenied(
                f"the database holds {strangers[0]} projects that are not the demo's",
                hint="seed an empty database; nothing was changed",
            )
        return
    if not reset:
        raise UsageError(
            f"the database was seeded with size {found[0]}, seed {found[1]}; wanted size {recipe.size}, "
            f"seed {recipe.random_seed}",
            hint="seed with reset=True to empty it first, or use another database",
        )
    names = [name for _, text in schema_files() for name in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", text)]
    connection.execute(f"TRUNCATE odras_demo.seeding, {', '.join(names)}".encode())
    load_schema(connection)


def _fill(connection: Connection[Any], recipe: Recipe, progress: Progress | None) -> dict[str, int]:
    counts: dict[str, int] = {}
    with connection.cursor() as cursor:
        for part in rows(recipe):
            counts[part.table] = counts.get(part.table, 0) + _copy(cursor, part, progress)
        cursor.execute("ANALYZE")
    return counts


def _copy(cursor: Any, part: Rows, progress: Progress | None) -> int:
    from psycopg import sql

    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(part.table), sql.SQL(", ").join(map(sql.Identifier, part.columns))
    )
    written = 0
    with cursor.copy(statement) as copy:
        for row in part.rows:
            copy.write_row(row)
            written += 1
            if progress is not None and written % _PROGRESS_ROWS == 0:
                progress(part.table, written)
    if progress is not None:
        progress(part.table, written)
    return written
