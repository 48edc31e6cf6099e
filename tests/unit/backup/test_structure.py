"""The fingerprint of a database's structure does not hold what servers and programs make up for themselves."""

from __future__ import annotations

from data_workbench.backup.tables import structure, without_stamps

_PLAIN = ["CREATE TABLE t (n integer);", "ALTER TABLE ONLY public.t ALTER COLUMN n SET (n_distinct=5);"]


def test_a_server_s_own_numbers_of_columns_are_no_structure() -> None:
    told = [
        "-- Dumped from database version 15.20",
        r"\restrict O7tnhK92xmfz",
        *_PLAIN[:1],
        "ALTER TABLE ONLY public.t ALTER COLUMN m SET (pg_attver=109816728);",
        "ALTER TABLE ONLY public.t ALTER COLUMN n SET (n_distinct=5, pg_attver=109816729);",
    ]
    first = "ALTER TABLE ONLY public.t ALTER COLUMN n SET (pg_attver=109816729, n_distinct=5);"
    assert structure(told) == structure(_PLAIN) == structure([*told[:-1], first])
    assert structure([*told[:-1], first.replace("=5", "=6")]) != structure(_PLAIN)


def test_a_script_is_run_without_them_and_otherwise_as_it_stands() -> None:
    script = rb"""\restrict O7tnhK92xmfz
CREATE TABLE public.t (n integer);
ALTER TABLE ONLY public.t ALTER COLUMN m SET (pg_attver=109816728);
ALTER MATERIALIZED VIEW ONLY public."ALTER COLUMN" ALTER COLUMN n SET (n_distinct=5, pg_attver=109816729);
COMMENT ON TABLE public.t IS 'ALTER TABLE t ALTER COLUMN m SET (pg_attver=1)
tail';
\unrestrict O7tnhK92xmfz
"""
    assert without_stamps(script).decode().splitlines() == [
        "CREATE TABLE public.t (n integer);",
        'ALTER MATERIALIZED VIEW ONLY public."ALTER COLUMN" ALTER COLUMN n SET (n_distinct=5);',
        "COMMENT ON TABLE public.t IS 'ALTER TABLE t ALTER COLUMN m SET (pg_attver=1)",
        "tail';",
    ]


def test_where_a_server_keeps_something_is_no_structure() -> None:
    one = ["SET default_tablespace = '';", "CREATE TABLE a ();", "CREATE TABLE b ();"]
    told = ["SET default_tablespace = fast;", one[1], "SET default_tablespace = '';", one[2]]
    assert structure(told) == structure(one)
    assert structure(one[1:]) != structure(one)
