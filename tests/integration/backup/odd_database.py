"""A PostgreSQL database with everything that is seldom seen, and what it holds in the server's own words."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ODD_TABLE = '"Üñï ""q"".Schema"."Tä.ble ""%s"""'
ROLES = ("odd_group", "odd_member", "Odd Röle")

STATEMENTS = Path(__file__).with_name("odd_database.sql")

DATABASE = """
ALTER DATABASE {0} SET search_path = app, public; ALTER DATABASE {0} SET work_mem = '7MB';
ALTER ROLE odd_member IN DATABASE {0} SET statement_timeout = '5s';
REVOKE CONNECT ON DATABASE {0} FROM PUBLIC; GRANT CONNECT, TEMPORARY ON DATABASE {0} TO odd_group;
COMMENT ON DATABASE {0} IS 'the odd one'; ALTER DATABASE {0} CONNECTION LIMIT 77;
"""

_CATALOGUE = {
    "relations": "SELECT n.nspname, c.relname, c.relkind, c.relpersistence, pg_get_userbyid(c.relowner), "
    "c.relacl::text, c.relrowsecurity, c.relforcerowsecurity, c.reloptions::text, obj_description(c.oid, 'pg_class'), "
    "c.relispopulated, "
    "(SELECT spcname FROM pg_tablespace t WHERE t.oid = c.reltablespace) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace",
    "columns": "SELECT c.oid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, "
    "attgenerated, attcollation::regcollation::text, col_description(c.oid, attnum), pg_get_expr(adbin, adrelid) "
    "FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attnum > 0 AND NOT attisdropped AND",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(c.oid), convalidated "
    "FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace",
    "indexes": "SELECT schemaname, indexdef FROM pg_indexes JOIN pg_namespace n ON n.nspname = schemaname",
    "triggers": "SELECT tgrelid::regclass::text, pg_get_triggerdef(t.oid), tgenabled FROM pg_trigger t "
    "JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE NOT tgisinternal AND",
    "functions": "SELECT p.oid::regprocedure::text, prosrc, proacl::text FROM pg_proc p "
    "JOIN pg_namespace n ON n.oid = pronamespace",
    "types": "SELECT t.oid::regtype::text, typtype, (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) "
    "FROM pg_enum WHERE enumtypid = t.oid) FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace",
    "policies": "SELECT tablename, policyname, roles::text, qual FROM pg_policies "
    "JOIN pg_namespace n ON nspname = schemaname",
    "schemas": "SELECT nspname, pg_get_userbyid(nspowner), coalesce(nspacl, acldefault('n', nspowner))::text, "
    "obj_description(n.oid, 'pg_namespace') "
    "FROM pg_namespace n",
    "sequences": "SELECT schemaname, sequencename, data_type::text, start_value, min_value, max_value, increment_by, "
    "cycle, last_value FROM pg_sequences JOIN pg_namespace n ON n.nspname = schemaname",
    "views": "SELECT schemaname, viewname, definition FROM pg_views JOIN pg_namespace n ON n.nspname = schemaname",
}
_WHOLE = {
    "large objects": "SELECT oid, md5(lo_get(oid)), pg_get_userbyid(lomowner), lomacl::text, "
    "obj_description(oid, 'pg_largeobject') FROM pg_largeobject_metadata",
    "database": "SELECT (SELECT array_agg(one::text ORDER BY one::text) FROM unnest(datacl) one), datconnlimit, "
    "pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'), encoding, datcollate, datctype, datlocprovider "
    "FROM pg_database WHERE datname = current_database()",
    "settings": "SELECT coalesce(setrole::regrole::text, '-'), setconfig::text FROM pg_db_role_setting "
    "WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
    "publications": "SELECT * FROM pg_publication_tables",
    "event triggers": "SELECT evtname, evtevent, evtenabled FROM pg_event_trigger",
    "extensions": "SELECT extname, extversion, extnamespace::regnamespace::text FROM pg_extension",
    "statistics": "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext",
    "casts": "SELECT castsource::regtype::text, casttarget::regtype::text FROM pg_cast WHERE oid >= 16384",
    "defaults": "SELECT defaclnamespace::regnamespace::text, defaclacl::text FROM pg_default_acl",
}


def make_odd(dsn: str) -> None:
    """Fill a database; its own settings among it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(STATEMENTS.read_bytes())
        name = sql.Identifier(connection.info.dbname).as_string()
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute("CREATE TABLESPACE odd_space LOCATION ''")
        connection.execute("CREATE TABLE app.elsewhere (id int PRIMARY KEY) TABLESPACE odd_space")
        connection.execute(DATABASE.replace("{0}", name).encode())


def remove_roles(dsn: str) -> None:
    """Remove what a database leaves when it is dropped."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for role in ROLES:
            connection.execute(f'DROP ROLE IF EXISTS "{role}"'.encode())
        connection.execute("DROP TABLESPACE IF EXISTS odd_space")


def facts_of(dsn: str) -> dict[str, Any]:
    """All rows by the server's `COPY`, and what its catalogues tell, in an order of its own."""
    found: dict[str, Any] = {}
    with psycopg.connect(dsn, options="-c search_path=pg_catalog -c timezone=UTC -c row_security=off") as connection:
        for what, query in _CATALOGUE.items():
            own = "n.nspname !~ '^(pg_|information_schema)'"
            told = connection.execute(f"{query} {'' if query.endswith(' AND') else 'WHERE'} {own}".encode())
            found[what] = sorted(map(repr, told.fetchall()))
        for what, query in _WHOLE.items():
            found[what] = sorted(map(repr, connection.execute(query.encode()).fetchall()))
        tables = connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE (relkind = 'r' OR relkind = 'm' AND relispopulated) AND nspname !~ '^(pg_|information_schema)'"
        ).fetchall()
        for (name,) in tables:
            with connection.cursor().copy(f"COPY (SELECT * FROM ONLY {name}) TO STDOUT".encode()) as copy:
                lines = sorted(b"".join(bytes(part) for part in copy).splitlines())
            found[f"rows of {name}"] = (len(lines), hashlib.sha256(b"\n".join(lines)).hexdigest())
    return found
