"""Small archives become one with all that belongs to them, and a database that is brought back has its rows still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.archive.tables import policy
from tests.integration.archive.test_entities import graph, parts, points
from tests.integration.archive.test_family import changed, counts, orders, require_no_dangling_row
from tests.integration.cli.conftest import Shell

if TYPE_CHECKING:
    from neo4j import Driver
    from qdrant_client import QdrantClient

__all__ = ["orders", "parts"]
FAMILY = ("old_orders", "old_orders.items", "old_orders.item_notes", "old_orders.invoices")


def larger(shell: Shell, name: str, rows: int) -> None:
    """Let archives of a policy have so many rows."""
    path = shell.folder / "dags" / "archives" / f"{name}.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("batch_rows")]
    path.write_text("\n".join([*lines, f"batch_rows: {rows}", ""]))


def live(shell: Shell) -> dict[str, int]:
    """Live archives by policy."""
    found: dict[str, int] = {}
    for one in shell("archive", "list", "--json").document["archives"]:
        found[one["policy"]] = found.get(one["policy"], 0) + 1
    return found


def test_a_family_becomes_one_and_comes_back_whole(orders: Shell) -> None:
    larger(orders, "old_orders", 10)
    assert orders("archive", "run", "--json").document["policies"][0]["rows"] == 100
    before, left = live(orders), counts(orders)
    assert before["old_orders"] > 8
    larger(orders, "old_orders", 1000)
    rehearsed = orders("archive", "compact", "--dry-run", "--json").document["policies"][0]
    assert (rehearsed["made"], len(rehearsed["replaced"])) == ([], sum(before.values()))
    done = orders("archive", "compact", "--json")
    assert done.code == 0, done.err
    # Two months, in each of four tables.
    assert live(orders) == dict.fromkeys(FAMILY, 2)
    assert len(done.document["policies"][0]["made"]) == 8
    assert counts(orders) == left
    assert orders("archive", "verify").code == 0
    assert orders("archive", "compact", "--json").document["policies"][0]["made"] == []
    [note] = orders("archive", "get", "old_orders.item_notes", "7", "--json").document["rows"]
    assert note["row"]["body"] == "note 7"
    # A hold is of the family still.
    first = next(one["archive"] for one in orders("archive", "list", "old_orders", "--json").document["archives"])
    assert orders("archive", "hold", first, "--reason", "case 9").code == 0
    held = [one for one in orders("archive", "list", "--json").document["archives"] if one["legal_hold"]]
    assert {one["policy"] for one in held} == set(FAMILY)

    one = orders("archive", "restore", "old_orders", "--key", "3", "--json")
    assert one.code == 0, one.err
    assert orders.sql("SELECT line FROM items WHERE order_number = 'N3' ORDER BY 1") == [(1,), (2,), (3,)]
    require_no_dangling_row(orders)
    assert orders("archive", "restore", "old_orders", "--all", "--json").document["waiting"] == 0
    assert changed(orders) == []


def test_a_family_of_which_something_came_back_stays_as_it_is(orders: Shell) -> None:
    larger(orders, "old_orders", 10)
    assert orders("archive", "run").code == 0
    assert orders("archive", "restore", "old_orders", "--key", "3").code == 0
    larger(orders, "old_orders", 1000)
    found = orders("archive", "list", "--json").document["archives"]
    before = {one["archive"] for one in found if one["live"] < one["rows"]}
    done = orders("archive", "compact", "--json").document["policies"][0]
    assert before
    assert before.isdisjoint(done["replaced"])
    assert orders("archive", "restore", "old_orders", "--all", "--json").document["waiting"] == 0
    assert changed(orders) == []


def test_entities_become_one_and_come_back_joined(parts: tuple[Shell, Driver, QdrantClient]) -> None:
    shell, driver, client = parts
    nodes, vectors = graph(driver), points(client)
    assert shell("archive", "run", "--json").document["policies"][0]["rows"] == 6
    larger(shell, "old_parts", 100)
    done = shell("archive", "compact", "--json")
    assert done.code == 0, done.err
    assert live(shell) == {"old_parts": 1}
    assert shell("archive", "verify").code == 0
    one = shell("archive", "restore", "old_parts", "--key", "3", "--json").document
    assert (one["beside"]["nodes"], one["beside"]["waiting"] > 0) == (2, True)
    rest = shell("archive", "restore", "old_parts", "--all", "--json").document
    assert (rest["rows"], rest["beside"]["waiting"]) == (5, 0)
    assert graph(driver) == nodes
    assert points(client) == vectors


@pytest.fixture
def small(shell: Shell) -> Shell:
    """Twenty archives of five rows, one of which came back."""
    shell.sql("CREATE TABLE things (id int PRIMARY KEY, at date, v text)")
    shell.sql("INSERT INTO things SELECT n, '2020-01-01', 'word ' || n FROM generate_series(1, 100) n")
    policy(shell, "public.things", batch_rows="5", search="[v]")
    assert shell("archive", "run").code == 0
    assert shell("archive", "restore", "olds", "--key", "7").code == 0
    policy(shell, "public.things", batch_rows="1000", search="[v]", where="id <> 7")
    return shell


def brought_back(shell: Shell, *tables: str) -> None:
    """Tables as they were when `keep` looked."""
    for name in tables:
        shell.sql(f"INSERT INTO {name} SELECT * FROM kept.{name.replace('.', '_')}")


def keep(shell: Shell, *tables: str) -> None:
    shell.sql("DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept")
    for name in tables:
        shell.sql(f"CREATE TABLE kept.{name.replace('.', '_')} AS SELECT * FROM {name}")


LEDGER = ("_workbench.archives", "_workbench.archive_gone")
REGISTER = ("archives", "archive_parts", "archive_texts")


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("days", ["14", "0"])
def test_a_database_brought_back_to_before_a_compaction_has_its_archived_rows(
    small: Shell, everything: bool, days: str
) -> None:
    """With the metastore in it or apart, with what was replaced still there or gone."""
    keep(small, *LEDGER, *REGISTER)
    assert small("archive", "compact", WORKBENCH_ARCHIVE_REPLACED_DAYS=days).code == 0
    assert live(small) == {"olds": 1}
    small.sql("TRUNCATE _workbench.archives CASCADE")
    brought_back(small, *LEDGER)
    if everything:
        small.sql("TRUNCATE archives CASCADE")
        brought_back(small, *REGISTER)
    done = small("archive", "run", "--json")
    assert done.code == 0, done.err
    counted = small("archive", "query", "olds", "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM things", "--json")
    assert counted.document["rows"] == [{"n": "99", "ids": "99"}]
    assert live(small) == {"olds": 20 if days == "14" else 1}
    checked = small("archive", "verify", "--json")
    assert checked.code == 0, checked.out
    assert len(small("archive", "search", "olds", "word 44", "--json").document["rows"]) == 1
    assert small("archive", "restore", "olds", "--all", "--json").document["rows"] == 99
    assert small.sql("SELECT count(*), sum(id), count(*) FILTER (WHERE v = 'word ' || id) FROM things") == [
        (100, 5050, 100)
    ]


def test_files_of_what_was_replaced_go_after_their_days(small: Shell) -> None:
    [made] = small("archive", "compact", "--json").document["policies"][0]["made"]
    folder = small.folder / "home" / "archives" / "archives" / "olds"
    assert len(list(folder.iterdir())) == 21
    checked = small("archive", "verify", "--json")
    assert (checked.code, checked.document["archives"]) == (0, 21)
    # What lies there is held to be as it was written as long as it does.
    victim = next(path for path in sorted(folder.glob("*/*.parquet")) if path.parent.name != made)
    content = victim.read_bytes()
    victim.write_bytes(content[:-9] + b"x" + content[-8:])
    assert small("archive", "verify").code == 1
    victim.write_bytes(content)
    assert small("archive", "expire", "--json").document["replaced"] == []
    rehearsed = small("archive", "expire", "--now", "2099-01-01", "--dry-run", "--json").document
    assert (len(rehearsed["replaced"]), rehearsed["removed"]) == (20, [])
    assert len(small("archive", "expire", "--now", "2099-01-01", "--json").document["replaced"]) == 20
    assert [path.name for path in folder.iterdir()] == [made]
    assert small("archive", "expire", "--now", "2099-01-01", "--json").document["replaced"] == []
    assert small("archive", "verify", "--json").document["archives"] == 1
    assert small("archive", "restore", "olds", "--all", "--json").document["rows"] == 99


def test_wide_rows_make_small_parts_and_are_compacted_within_bounds(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is read as a whole; ten documents of a site may be as large as a hundred thousand rows of another."""
    from data_workbench.archive import grouping

    shell.sql("CREATE TABLE documents (id int PRIMARY KEY, at date, body text)")
    shell.sql("""INSERT INTO documents SELECT n, '2020-01-01', (SELECT string_agg(md5(n || '-' || k), '') FROM
        generate_series(1, 1000) k) FROM generate_series(1, 40) n""")
    before = shell.sql("SELECT md5(string_agg(d::text, '' ORDER BY id)) FROM documents d")
    policy(shell, "public.documents", batch_rows="10")
    cut = {"WORKBENCH_BATCH_BYTES": "20000"}
    assert shell("archive", "run", "--json", **cut).document["policies"][0]["rows"] == 40
    checked = shell("archive", "verify", "--json").document
    assert (checked["archives"], checked["parts"]) == (4, 8), "ten rows of 32 kB are more than a part takes"

    policy(shell, "public.documents")
    monkeypatch.setattr(grouping, "MOST_BYTES", 700_000)
    done = shell("archive", "compact", "--json", **cut).document["policies"][0]
    assert (len(done["made"]), len(done["replaced"])) == (2, 4), "two archives of 320 kB together, not four"
    for one in shell("archive", "list", "--json").document["archives"]:
        folder = shell.folder / "home" / "archives" / "archives" / "olds" / one["archive"]
        assert len(list(folder.glob("*.parquet"))) == 4
    assert shell("archive", "restore", "olds", "--all", "--json").document["rows"] == 40
    assert shell.sql("SELECT md5(string_agg(d::text, '' ORDER BY id)) FROM documents d") == before
