"""What belongs to a PostgreSQL database and is no part of its dump: settings, rights, comment, connection limit.

`pg_dump` writes them only for a database that is made again under its own name. They are a file of the set and not of
its manifest, which is not encrypted: a setting may be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

PROPERTIES: Final = "properties.json"
_PROPERTIES: Final = """
SELECT jsonb_build_object(
    'settings', (SELECT coalesce(jsonb_agg(jsonb_build_array(r.rolname, s.setconfig) ORDER BY r.rolname), '[]')
                   FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = d.oid),
    'rights', CASE WHEN datacl IS NOT NULL THEN
              (SELECT coalesce(jsonb_agg(jsonb_build_array(r.rolname, a.privilege_type, a.is_grantable)
                                         ORDER BY r.rolname, a.privilege_type), '[]')
                 FROM aclexplode(datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee) END,
    'comment', shobj_description(d.oid, 'pg_database'), 'limit', d.datconnlimit)
  FROM pg_database d WHERE d.datname = current_database()
"""
# Values of these stand in the catalogue as lists whose members are quoted (GUC_LIST_QUOTE); any other is one text.
_LISTS: Final = frozenset(
    {"local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
     "temp_tablespaces", "unix_socket_directories"}
)  # fmt: skip
_MEMBER: Final = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)')
_RIGHTS: Final[Mapping[str, LiteralString]] = {
    "CONNECT": "CONNECT", "CREATE": "CREATE", "TEMPORARY": "TEMPORARY"
}  # fmt: skip


def properties_of(session: psycopg.Connection) -> bytes:
    """Those of the database a session is in, for the file of a set; the same bytes for the same properties."""
    row = session.execute(_PROPERTIES).fetchone()
    assert row is not None
    return json.dumps(row[0], sort_keys=True, ensure_ascii=False).encode()


def dress(admin: psycopg.Connection, database: str, kept: bytes, *, owner: str | None) -> dict[str, str]:
    """Give a database the properties that another had.

    What this server refuses (a parameter that its version lacks, a right that we have not) leaves the rest as it is.

    Returns:
        What was refused, and why.
    """
    told = json.loads(kept)
    refused: dict[str, str] = {}
    for what, statement in statements(sql.Identifier(database), told, owner):
        try:
            with admin.transaction():
                admin.execute(statement)
        except psycopg.Error as error:
            refused[what] = error.diag.message_primary or str(error)
    return refused


def statements(
    database: sql.Identifier, told: Mapping[str, Any], owner: str | None
) -> Iterator[tuple[str, sql.Composed]]:
    """What makes a database have these properties, each with its name."""
    for role, settings in told["settings"]:
        for one in settings:
            name, _, value = str(one).partition("=")
            place = sql.SQL("DATABASE {}").format(database)
            if role is not None:
                place = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), database)
            values = sql.SQL(", ").join(map(sql.Literal, members(value) if name in _LISTS else [value]))
            yield name, sql.SQL("ALTER {} SET {} TO {}").format(place, sql.Identifier(name), values)
    if told["rights"] is not None:
        everybody = [sql.SQL("PUBLIC"), *([sql.Identifier(owner)] if owner else [])]
        for one in everybody:
            yield "rights", sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, one)
        for role, right, is_grantable in told["rights"]:
            grant = sql.SQL("GRANT {} ON DATABASE {} TO {}").format(
                sql.SQL(_RIGHTS[right]), database, sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
            )
            yield "rights", grant + sql.SQL(" WITH GRANT OPTION") if is_grantable else grant
    if told["comment"] is not None:
        yield "comment", sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(told["comment"]))
    if told["limit"] != -1:
        limit = sql.Literal(int(told["limit"]))
        yield "limit", sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, limit)


def members(value: str) -> list[str]:
    """A list of quoted or plain names; an empty one is written as one empty text."""
    found = [
        quoted.replace('""', '"') if quoted else plain.strip()
        for quoted, plain in (one.groups(default="") for one in _MEMBER.finditer(value))
    ]
    return [one for one in found if one] or [""]
