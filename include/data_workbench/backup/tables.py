"""What a PostgreSQL database holds, table by table, told by the server itself within one snapshot."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from data_workbench.backup.manifest import Content
from data_workbench.connectors.postgres.names import Relation

_MODULUS = 1 << 64

# Leaf tables only: a partitioned table's rows are its partitions'. Rows of a table that an extension made come with it.
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
 ORDER BY 1, 2
"""
STAMP: Final = "pg_attver"
_STAMPED = re.compile(rb"ALTER (?:FOREIGN )?(?:TABLE|MATERIALIZED VIEW) .* ALTER COLUMN .* SET \(.*\);")
_STAMP = re.compile(r", pg_attver=\d+|pg_attver=\d+(?:, )?")
# The text of a row does not depend on the role's settings: the session fixes them (connectors.postgres.config).
_FINGERPRINT = """
SELECT count(*), coalesce(sum(('x' || left(h, 16))::bit(64)::bigint::numeric), 0),
       coalesce(sum(('x' || right(h, 16))::bit(64)::bigint::numeric), 0)
  FROM (SELECT md5(t::text) AS h FROM ONLY {} AS t) AS hashed
"""

LARGE_OBJECTS: Final = "(large objects)"
_PART: Final = 4 * 1024**2
# In parts, by the functions that ask for the rights of an object: only a superuser reads the table they are kept in.
_LARGE_OBJECTS = """
WITH RECURSIVE parts AS (
    SELECT l.oid, 0::bigint AS at, md5(p.part) AS h, length(p.part) AS size
      FROM pg_largeobject_metadata l, LATERAL (SELECT lo_get(l.oid, 0, %(part)s::int) AS part) p
    UNION ALL
    SELECT l.oid, l.at + %(part)s, md5(p.part), length(p.part)
      FROM parts l, LATERAL (SELECT lo_get(l.oid, l.at + %(part)s, %(part)s::int) AS part) p WHERE l.size = %(part)s)
SELECT count(DISTINCT oid), coalesce(sum(('x' || left(h, 16))::bit(64)::bigint::numeric), 0),
       coalesce(sum(('x' || right(h, 16))::bit(64)::bigint::numeric), 0)
  FROM (SELECT oid, md5(oid || ' ' || at || ' ' || h) AS h FROM parts) AS hashed
"""


def tables(connection: psycopg.Connection) -> list[Relation]:
    """All tables with rows of their own, by name."""
    return [Relation(*row) for row in connection.execute(_TABLES)]


def fingerprint(connection: psycopg.Connection, table: Relation) -> Content:
    """Rows, and the sums of both halves of the rows' MD5: the same in any order."""
    name = sql.Identifier(table.schema, table.name)
    row = connection.execute(sql.SQL(_FINGERPRINT).format(name)).fetchone()
    assert row is not None
    return _content(row)


def _content(row: Sequence[Any]) -> Content:
    return Content(count=row[0], fingerprint=f"{int(row[1]) % _MODULUS:016x}{int(row[2]) % _MODULUS:016x}")


def contents(connection: psycopg.Connection) -> dict[str, Content]:
    """Every table's content, and that of large objects if there are any, in the connection's transaction."""
    found = {table.stream: fingerprint(connection, table) for table in tables(connection)}
    row = connection.execute(_LARGE_OBJECTS, {"part": _PART}).fetchone()
    assert row is not None
    if row[0]:
        found[LARGE_OBJECTS] = _content(row)
    return found


def structure(lines: Iterable[str]) -> Content:
    """The fingerprint of a database's structure, from what `pg_dump --schema-only` wrote.

    Comments name versions, and newer programs write a random word against injection (`\\restrict`). Servers from
    15.20 on number each column for themselves (`pg_attver`), which programs from before then write down. Where on
    its disks a server keeps something is its own affair.
    """
    kept = [line for line in lines if line.strip() and not line.startswith(("--", "\\restrict", "\\unrestrict"))]
    kept = [line for line in (_STAMP.sub("", one) for one in kept) if not line.endswith(" SET ();")]
    kept = list(_in_one_place(kept))
    digest = hashlib.blake2b("\n".join(kept).encode(), digest_size=16).hexdigest()
    return Content(count=sum(line.startswith("CREATE ") for line in kept), fingerprint=digest)


def _in_one_place(lines: Iterable[str]) -> Iterator[str]:
    is_told = False
    for line in lines:
        if not line.startswith("SET default_tablespace = "):
            yield line
        elif not is_told:
            is_told = True
            yield "SET default_tablespace = '';"


def without_stamps(script: bytes) -> bytes:
    """A script of `pg_restore` for servers that do not know the numbers of columns (`structure`), to be run as a whole.

    Words to a client among it (`\\restrict`) are no SQL.
    """
    kept = []
    for line in script.splitlines(keepends=True):
        text = line.rstrip()
        if text.startswith((b"\\restrict ", b"\\unrestrict ")):
            continue
        if STAMP.encode() in text and _STAMPED.fullmatch(text):
            text = _STAMP.sub("", text.decode()).encode()
            if text.endswith(b" SET ();"):
                continue
            line = text + b"\n"
        kept.append(line)
    return b"".join(kept)
