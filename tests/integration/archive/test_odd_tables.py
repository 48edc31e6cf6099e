"""Tables of every kind: odd names and keys, partitions, trees, triggers; each leaves whole or is refused."""

from __future__ import annotations

import pytest
from tests.integration.archive.tables import policy, rows
from tests.integration.cli.conftest import Shell

KEYS = {
    "text": "'a,b ''x''\"' || n",
    "numeric": "n + 0.50",
    "char(5)": "'k' || n",
    "timestamptz": "timestamptz '2020-01-01 00:00+02' + n * interval '1 s'",
    "bytea": "decode(lpad(to_hex(n), 8, '0'), 'hex')",
    "float8": "n + 0.5",
    "inet": "('10.0.0.' || n)::inet",
    "int4range": "int4range(n, n + 2)",
    "interval": "n * interval '1 hour'",
    "jsonb": "jsonb_build_object('n', n)",
    "bigint": "n - 10",
    "text[]": "ARRAY['a', n::text]",
    "uuid": "md5(n::text)::uuid",
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_row_is_found_and_comes_back_by_its_key_as_postgresql_shows_it(shell: Shell, kind: str) -> None:
    shell.sql(f"CREATE TABLE keyed (id {kind} PRIMARY KEY, at date)")
    shell.sql(f"INSERT INTO keyed SELECT {KEYS[kind]}, '2020-01-01' FROM generate_series(1, 20) n")
    [(key,)] = shell.sql("SELECT id::text FROM keyed ORDER BY id LIMIT 1 OFFSET 5")
    before = rows(shell, "keyed")
    policy(shell, "public.keyed", batch_rows="4")
    assert shell("archive", "run").code == 0
    found = shell("archive", "get", "olds", "--json", "--", key)
    assert (found.code, len(found.document["rows"])) == (0, 1), found.out
    assert shell("archive", "restore", "olds", "--key", key, "--json").document["rows"] == 1
    assert shell.sql("SELECT count(*) FROM keyed") == [(1,)]
    assert shell("archive", "restore", "olds", "--all").code == 0
    assert rows(shell, "keyed") == before


def test_what_is_no_key_is_said_to_be_none(shell: Shell) -> None:
    shell.sql("CREATE TABLE keyed (a int, b uuid, at date, PRIMARY KEY (a, b))")
    shell.sql("INSERT INTO keyed SELECT n, gen_random_uuid(), '2020-01-01' FROM generate_series(1, 3) n")
    policy(shell, "public.keyed")
    assert shell("archive", "run").code == 0
    for given in (("get", "olds", "1"), ("restore", "olds", "--key", "1")):
        answer = shell("archive", *given)
        assert (answer.code, "a key has 2 values: a, b" in answer.err) == (2, True), answer.err
    for given in (("get", "olds", "one", "two"), ("restore", "olds", "--key", "one,two")):
        answer = shell("archive", *given)
        assert (answer.code, "is no value of a int4, b uuid" in answer.err) == (2, True), answer.err


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("CREATE TABLE odd (id int PRIMARY KEY, at date, file_row_number int)", "file_row_number is a name"),
        ("CREATE TABLE odd (id int PRIMARY KEY, at date, _wb_row int)", "_wb_row is a name"),
        ('CREATE TABLE odd (id int PRIMARY KEY, at date, name text, "Name" text)', "differ by case alone"),
        ("CREATE TABLE odd (id int PRIMARY KEY, at date); CREATE TABLE heir (extra text) INHERITS (odd)",
         "heir inherits from public.odd"),
        ("CREATE TABLE odd (id int PRIMARY KEY, at date); CREATE RULE stays AS ON DELETE TO odd DO INSTEAD NOTHING",
         "has a rule on DELETE, stays"),
    ],
)  # fmt: skip
def test_a_table_whose_rows_would_not_leave_whole_is_refused(shell: Shell, table: str, told: str) -> None:
    shell.sql(table)
    shell.sql("INSERT INTO odd (id, at) VALUES (1, '2020-01-01')")
    policy(shell, "public.odd")
    for flags in ((), ("--dry-run",)):
        refused = shell("archive", "run", *flags)
        assert (refused.code, told in refused.err) == (1, True), refused.err
    assert shell.sql("SELECT count(*) FROM odd") == [(1,)]


PARTED = """
CREATE TABLE parted (id int, at date NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parted20 PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE parted21 (v text, at date NOT NULL, id int NOT NULL);
ALTER TABLE parted ATTACH PARTITION parted21 FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE rest PARTITION OF parted DEFAULT;
INSERT INTO parted SELECT n, date '2020-01-01' + n * 10, 'v' || n FROM generate_series(1, 100) n;
CREATE TABLE notes (id int PRIMARY KEY, of_id int, of_at date,
    FOREIGN KEY (of_id, of_at) REFERENCES parted ON DELETE CASCADE);
INSERT INTO notes SELECT n, n, date '2020-01-01' + n * 10 FROM generate_series(1, 100, 3) n;
"""


@pytest.mark.parametrize("dataset", ["parted", "parted20"])
@pytest.mark.parametrize("referenced", ["refuse", "keep", "take"])
def test_a_partitioned_table_and_one_of_its_partitions(shell: Shell, dataset: str, referenced: str) -> None:
    """A foreign key to the whole is one to each partition, and cascades: nothing may go by it."""
    shell.sql(PARTED)
    before = rows(shell, "parted", "notes")
    policy(shell, f"public.{dataset}", partition="year", referenced=referenced)
    [(whole, held)] = shell.sql(f"""SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM notes n
        WHERE n.of_id = p.id AND n.of_at = p.at)) FROM {dataset} p""")
    ran = shell("archive", "run", "--json")
    [(left, notes)] = shell.sql(f"SELECT (SELECT count(*) FROM {dataset}), (SELECT count(*) FROM notes)")
    if referenced == "refuse":
        assert "referred to by public.notes" in ran.err
        assert rows(shell, "parted", "notes") == before
        return
    assert ran.code == 0, ran.err
    assert (left, notes) == ((held, 34) if referenced == "keep" else (0, 34 - held))
    assert ran.document["policies"][0]["rows"] == whole - left
    assert shell("archive", "verify").code == 0
    shell.sql("ALTER TABLE notes DROP CONSTRAINT notes_of_id_of_at_fkey")
    shell.sql("ALTER TABLE parted DETACH PARTITION parted20; ALTER TABLE parted DETACH PARTITION rest")
    shell.sql("ALTER TABLE parted ATTACH PARTITION parted20 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')")
    if dataset == "parted":  # no partition for 2022 any more
        refused = shell("archive", "restore", "olds", "--all")
        assert (refused.code, "does not take rows of archive" in refused.err) == (1, True), refused.err
    shell.sql("ALTER TABLE parted ATTACH PARTITION rest DEFAULT")
    back = shell("archive", "restore", "olds", "--all", "--json")
    assert (back.code, back.document["waiting"]) == (0, 0), back.err
    assert rows(shell, "parted", "notes") == before


def test_a_tree_goes_leaf_by_leaf_in_one_run_and_comes_back(shell: Shell) -> None:
    """Ten chains of ten rows over a hundred days; the youngest five rows are of now, and hold what is above them."""
    shell.sql("CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree, at date)")
    shell.sql("""INSERT INTO tree SELECT n, CASE WHEN n % 10 <> 1 THEN n - 1 END,
        CASE WHEN n > 95 THEN current_date ELSE date '2020-01-01' + n END FROM generate_series(1, 100) n""")
    shell.sql("INSERT INTO tree VALUES (500, 500, '2020-01-01')")
    before = rows(shell, "tree")
    policy(shell, "public.tree")
    refused = shell("archive", "run")
    assert (refused.code, "a row then goes once what refers to it has gone" in refused.err) == (1, True), refused.err
    for referenced in ("keep", "take"):
        policy(shell, "public.tree", referenced=referenced)
        [done] = shell("archive", "run", "--json").document["policies"]
        assert (done["rows"], done["kept"], sum(done["eligible"].values())) == (91, 0, 91)
        assert shell.sql("SELECT min(id), count(*) FROM tree") == [(91, 10)]
        assert shell("archive", "restore", "olds", "--all", "--json").document["waiting"] == 0
        assert rows(shell, "tree") == before


def test_rows_that_a_trigger_keeps_are_said_to_be_and_not_archived_again_and_again(shell: Shell) -> None:
    shell.sql("CREATE TABLE kept (id int PRIMARY KEY, at date)")
    shell.sql("INSERT INTO kept SELECT n, '2020-01-01' FROM generate_series(1, 10) n")
    shell.sql("""CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS
                     'BEGIN IF OLD.id < 5 THEN RETURN NULL; END IF; RETURN OLD; END';
                 CREATE TRIGGER keeps BEFORE DELETE ON kept FOR EACH ROW EXECUTE FUNCTION keeps()""")
    policy(shell, "public.kept")
    for _ in range(2):
        refused = shell("archive", "run")
        assert (refused.code, "4 rows of public.kept were to be deleted and are still there" in refused.err) == (
            1,
            True,
        )
        assert shell.sql("SELECT count(*) FROM kept") == [(10,)]
        assert list((shell.folder / "home" / "archives" / "archives").glob("*/*")) == []
    policy(shell, "public.kept", where="id >= 5")
    assert shell("archive", "run", "--json").document["policies"][0]["rows"] == 6
    assert shell("archive", "verify").code == 0
