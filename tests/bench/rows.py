"""A million mixed rows: 16 columns of the types that real tables have."""

from __future__ import annotations

COLUMNS = (
    "id bigint PRIMARY KEY, small int2, quantity int4, total bigint, price numeric(12,4), ratio float8, active bool,"
    " code text, description text, category varchar(20), created_at timestamptz, day date, uid uuid, document jsonb,"
    " tags text[], payload bytea"
)


def mixed(table: str, rows: int) -> str:
    """SQL that makes and fills a table; the same rows each time."""
    return f"""
        DROP TABLE IF EXISTS {table};
        CREATE TABLE {table} ({COLUMNS});
        INSERT INTO {table}
        SELECT n, n % 32000, (n * 7919) % 1000000, n * 1000003, ((n * 31337) % 1000000000) / 10000.0, sqrt(n),
               n % 3 = 0, 'C' || lpad((n % 5000)::text, 5, '0'), 'row ' || n || ' ' || repeat(md5(n::text), 3),
               (ARRAY['alpha', 'beta', 'gamma', 'delta'])[1 + (n % 4)::int],
               timestamptz '2020-01-01Z' + n * interval '37 s', date '2000-01-01' + (n % 9000)::int, md5(n::text)::uuid,
               jsonb_build_object('n', n, 'name', 'x' || n % 100, 'ok', n % 2 = 0),
               ARRAY['t' || n % 10, 'u' || n % 7], decode(md5(n::text), 'hex')
        FROM generate_series(1::bigint, {rows}) AS n;
        ANALYZE {table};
    """
