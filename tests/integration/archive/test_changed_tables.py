"""Tables that changed since: columns of other names and types, or none; nothing comes back as something else."""

from __future__ import annotations

import pytest
from tests.integration.archive.tables import policy, rows
from tests.integration.cli.conftest import Shell


@pytest.fixture
def archived(shell: Shell) -> Shell:
    """Ten rows of several types, archived."""
    shell.sql("DROP TYPE IF EXISTS mood CASCADE; CREATE TYPE mood AS ENUM ('calm', 'cross')")
    shell.sql("""CREATE TABLE things (id int PRIMARY KEY, at date, v text, big bigint, digits text, n numeric(10,4),
                 ts timestamptz, e mood, ok bool, code char(4), k int, g int GENERATED ALWAYS AS (k * 2) STORED)""")
    shell.sql("""INSERT INTO things SELECT n, '2020-01-01', 'value ' || n, 3000000000 + n, n::text, n + 0.1234,
                 '2020-01-01 10:11:12Z', 'calm', true, 'c' || n, n FROM generate_series(1, 10) n""")
    shell.sql("CREATE TABLE before AS SELECT * FROM things")
    policy(shell, "public.things", search="[v]")
    assert shell("archive", "run").code == 0
    return shell


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ("ALTER v TYPE varchar(3)", "v"),
        ("ALTER v TYPE int USING 1", "v"),
        ("ALTER big TYPE int2", "big"),
        ("ALTER n TYPE numeric(6,1)", "n"),
        ("ALTER n TYPE int", "n"),
        ("ALTER ts TYPE date USING ts::date", "ts"),
        ("ALTER ok TYPE int USING 1", "ok"),
        ("DROP COLUMN g, ADD COLUMN g int GENERATED ALWAYS AS (k * 3) STORED", "g"),
        ("DROP COLUMN v", "v"),
    ],
)
def test_what_would_come_back_as_something_else_stays_in_the_archive(archived: Shell, change: str, column: str) -> None:
    archived.sql(f"ALTER TABLE things {change}")
    refused = archived("archive", "restore", "olds", "--all")
    assert refused.code == 1, refused.out
    assert f"--without {column}" in refused.err or "--without COLUMN" in refused.err, refused.err
    assert "pipeline" not in refused.err
    assert archived.sql("SELECT count(*) FROM things") == [(0,)]
    # What was archived is told as it was, whatever the table is now.
    told = archived("archive", "query", "olds", "SELECT v, big, n, g FROM things WHERE id = 3", "--json")
    assert told.document["rows"] == [{"v": "value 3", "big": "3000000003", "n": "3.1234", "g": "6"}], told.err
    done = archived("archive", "restore", "olds", "--all", "--without", column, "--json")
    assert (done.code, done.document["rows"]) == (0, 10), done.err
    kept = ", ".join({"id", "at", "v", "big", "digits", "n", "ts", "e", "ok", "code", "k", "g"} - {column})
    assert archived.sql(f"(SELECT {kept} FROM things EXCEPT SELECT {kept} FROM before)") == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER v TYPE varchar(30)",
        "ALTER big TYPE text",
        "ALTER big TYPE numeric",
        "ALTER digits TYPE int USING digits::int",
        "ALTER n TYPE numeric",
        "ALTER n TYPE numeric(20,8)",
        "ALTER ts TYPE timestamp USING ts AT TIME ZONE 'UTC'",
        "ALTER e TYPE text",
        "ALTER code TYPE char(9)",
        "ALTER id TYPE bigint",
        "DROP CONSTRAINT things_pkey, ADD PRIMARY KEY (id, at)",
        "DROP CONSTRAINT things_pkey",
    ],
)
def test_a_type_that_holds_all_of_it_takes_it_back(archived: Shell, change: str) -> None:
    archived.sql(f"ALTER TABLE things {change}; ALTER TABLE before {change.partition(', ADD')[0]}"
                 if "CONSTRAINT" not in change else f"ALTER TABLE things {change}")  # fmt: skip
    [found] = archived("archive", "get", "olds", *(("3", "2020-01-01") if "(id, at)" in change else ("3",)), "--json"
                       ).document.get("rows", [None])  # fmt: skip
    assert "(id, at)" in change or found is not None
    done = archived("archive", "restore", "olds", "--all", "--json")
    assert (done.code, done.document["rows"]) == (0, 10), done.err
    assert [row[1] for row in rows(archived, "things")] == [row[1] for row in rows(archived, "before")]


def test_rows_of_before_and_after_a_change_are_found_and_told_together(archived: Shell) -> None:
    archived.sql("ALTER TABLE things ADD COLUMN more text DEFAULT 'and more', DROP COLUMN digits, DROP COLUMN code")
    archived.sql("INSERT INTO things (id, at, v) VALUES (11, '2020-02-01', 'value 11')")
    assert archived("archive", "run", "--json").document["policies"][0]["rows"] == 1
    told = archived("archive", "search", "olds", "value")
    assert told.code == 0, told.err
    header, _, *lines = [line.split() for line in told.out.replace("│", " ").replace("┃", " ").splitlines() if line]
    assert header == ["archive", "id", "at", "v", "big", "digits", "n", "ts", "e", "ok", "code", "k", "g", "more"]
    assert [line[-2:] for line in lines] == [[f"{2 * n}", "–"] for n in range(1, 11)] + [["and", "more"]]


def test_columns_that_are_named_otherwise_come_back_under_the_name_of_today(archived: Shell) -> None:
    archived.sql("ALTER TABLE things RENAME v TO label; ALTER TABLE things RENAME id TO number")
    refused = archived("archive", "restore", "olds", "--all")
    assert "--rename id=NAME" in refused.err, refused.err
    wrong = archived("archive", "restore", "olds", "--all", "--rename", "id=nothing")
    assert (wrong.code, "id cannot come back as nothing" in wrong.err) == (2, True), wrong.err
    refused = archived("archive", "restore", "olds", "--all", "--rename", "id=number")
    assert "--rename v=NAME" in refused.err, refused.err
    done = archived(
        "archive", "restore", "olds", "--key", "4", "--rename", "id=number", "--rename", "v=label", "--json"
    )
    assert (done.code, done.document["rows"]) == (0, 1), done.err
    assert archived.sql("SELECT number, label FROM things") == [(4, "value 4")]
    # What left since the renaming has the new names, and comes back with what left before.
    policy(archived, "public.things", search="[label]")
    assert archived("archive", "run", "--json").document["policies"][0]["rows"] == 1
    both = archived("archive", "restore", "olds", "--all", "--rename", "id=number", "--rename", "v=label", "--json")
    assert (both.code, both.document["rows"]) == (0, 10), both.err
    assert [row[1] for row in rows(archived, "things")] == [row[1] for row in rows(archived, "before")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE things ADD COLUMN must text NOT NULL", 'null value in column "must"'),
        ("ALTER TABLE things ADD CHECK (id > 1000)", "things_id_check"),
        ("ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet'", 'invalid input value for enum mood: "calm"'),
    ],
)
def test_what_the_table_does_not_take_is_said_of_the_archive(archived: Shell, change: str, told: str) -> None:
    archived.sql(change)
    refused = archived("archive", "restore", "olds", "--all")
    assert (refused.code, "public.things does not take rows of archive" in refused.err) == (1, True), refused.err
    assert told in refused.err
    assert archived.sql("SELECT count(*) FROM things") == [(0,)]
    assert archived("archive", "verify").code == 0


def test_rows_of_a_table_that_is_gone_are_still_read_and_come_back_into_one_made_again(archived: Shell) -> None:
    archived.sql("DROP TABLE things")
    told = archived("archive", "query", "olds", "SELECT count(*) AS n, max(n) AS most FROM things", "--json")
    assert told.document["rows"] == [{"n": "10", "most": "10.1234"}], told.err
    [found] = archived("archive", "get", "olds", "3", "--json").document["rows"]
    assert found["row"]["v"] == "value 3"
    assert len(archived("archive", "search", "olds", "value 4", "--json").document["rows"]) == 1
    gone = archived("archive", "query", "olds", "SELECT 1 FROM things", "--with-live")
    assert (gone.code, "no table" in gone.err or "public.things" in gone.err) == (1, True), gone.err
    refused = archived("archive", "restore", "olds", "--all")
    assert 'make it again: CREATE TABLE public.things ("id" int4' in refused.err, refused.err
    archived.sql(refused.err.partition("make it again: ")[2])
    assert archived("archive", "restore", "olds", "--all", "--json").document["rows"] == 10
    assert [row[1] for row in rows(archived, "things")] == [row[1] for row in rows(archived, "before")]
