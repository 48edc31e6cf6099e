"""Rows that others refer to leave with these, over three tables and one of them itself, and come back in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.integration.cli.conftest import Shell

from data_workbench.events import Event, subscribed

POLICY = """\
version: 1
archive: old_orders
connection: site
dataset: public.orders
age: {column: placed, older_than: 1y}
partition: month
batch_rows: 40
referenced: take
"""
TABLE_NAMES = ("orders", "items", "item_notes", "invoices")
# An order refers to an earlier one; an item to its order by an odd unique column; a note to an item, and to a note.
TABLES = """
CREATE TABLE orders (id bigint PRIMARY KEY, number text NOT NULL UNIQUE, placed date NOT NULL,
    follows bigint REFERENCES orders);
CREATE TABLE items (order_number text NOT NULL REFERENCES orders (number) ON DELETE CASCADE, line int, what text,
    PRIMARY KEY (order_number, line));
CREATE TABLE item_notes (id int PRIMARY KEY, order_number text, line smallint, body text,
    answers int REFERENCES item_notes, FOREIGN KEY (order_number, line) REFERENCES items (order_number, line));
CREATE TABLE invoices (id int PRIMARY KEY, first_order bigint REFERENCES orders ON DELETE SET NULL,
    last_order bigint REFERENCES orders);
INSERT INTO orders SELECT n, 'N' || n, CASE WHEN n <= 100 THEN date '2021-01-31' + (n % 2) ELSE current_date END,
    CASE WHEN n % 10 = 0 THEN n - 1 END FROM generate_series(1, 120) n;
INSERT INTO items SELECT 'N' || n, line, 'thing ' || line FROM generate_series(1, 120) n, generate_series(1, 3) line;
INSERT INTO item_notes SELECT n, 'N' || n, 1 + n % 3, 'note ' || n FROM generate_series(1, 120) n;
INSERT INTO item_notes SELECT 200 + n, NULL, NULL, 'answer ' || n, n FROM generate_series(1, 120, 3) n;
INSERT INTO item_notes SELECT 400 + n, NULL, NULL, 'answer to ' || n, 200 + n FROM generate_series(1, 120, 6) n;
INSERT INTO item_notes VALUES (999, NULL, NULL, 'on nothing', NULL);
INSERT INTO invoices SELECT n, n, n + 1 FROM generate_series(1, 119, 7) n;
"""


@pytest.fixture
def orders(shell: Shell) -> Shell:
    """A hundred old orders of two months, twenty of now, and three tables of what refers to them."""
    shell.sql("DROP TABLE IF EXISTS before, invoices, item_notes, items, orders CASCADE")
    shell.sql(TABLES)
    shell.sql("CREATE TABLE before AS " + contents())
    folder = shell.folder / "dags" / "archives"
    folder.mkdir(parents=True)
    (folder / "old_orders.yaml").write_text(POLICY, encoding="utf-8")
    return shell


def contents() -> str:
    """SQL: every row of every table as text."""
    return " UNION ALL ".join(f"SELECT '{name}' AS name, t::text AS row FROM {name} t" for name in TABLE_NAMES)


def changed(shell: Shell) -> list[tuple[object, ...]]:
    """Rows that are not what they were."""
    return shell.sql(
        f"(({contents()}) EXCEPT ALL SELECT * FROM before) UNION ALL (SELECT * FROM before EXCEPT ALL ({contents()}))"
    )


def counts(shell: Shell) -> dict[str, int]:
    return {name: shell.sql(f"SELECT count(*) FROM {name}")[0][0] for name in TABLE_NAMES}


def require_no_dangling_row(shell: Shell) -> None:
    """What PostgreSQL promises, asked of the rows: archiving never works around it."""
    for query in (
        "SELECT count(*) FROM items i LEFT JOIN orders o ON o.number = i.order_number WHERE o.id IS NULL",
        "SELECT count(*) FROM invoices i LEFT JOIN orders o ON o.id = i.last_order WHERE o.id IS NULL",
        "SELECT count(*) FROM invoices WHERE first_order IS NULL",
    ):
        assert shell.sql(query) == [(0,)], query


def test_what_refers_to_archived_rows_goes_along_and_comes_back_after_them(orders: Shell) -> None:
    answer = orders("archive", "run", "--json")
    assert answer.code == 0, answer.err
    [done] = answer.document["policies"]
    # Every tenth order follows the one before it, which can leave since the other, of the month before, has left.
    assert (done["rows"], done["kept"]) == (100, 0)
    assert set(done["along"]) == {"public.items", "public.item_notes", "public.invoices"}
    assert orders("archive", "run", "--json").document["policies"][0]["rows"] == 0
    left = counts(orders)
    # An invoice over two orders goes with whichever goes first.
    assert left == {"orders": 20, "items": 60, "item_notes": left["item_notes"], "invoices": left["invoices"]}
    assert orders.sql("SELECT min(order_number), count(*) FROM item_notes WHERE order_number IS NOT NULL")[0][1] == 20
    assert orders.sql("SELECT count(*) FROM item_notes WHERE id = 999") == [(1,)]
    require_no_dangling_row(orders)
    checked = orders("archive", "verify", "--json")
    assert checked.code == 0, checked.out
    assert checked.document["rows"] == sum(row[1] for row in before(orders)) - sum(left.values())

    names = {one["policy"] for one in orders("archive", "list", "--json").document["archives"]}
    assert names == {"old_orders", "old_orders.items", "old_orders.item_notes", "old_orders.invoices"}
    [note] = orders("archive", "get", "old_orders.item_notes", "7", "--json").document["rows"]
    assert (note["archive"] is not None, note["row"]["body"]) == (True, "note 7")
    joined = orders("archive", "query", "old_orders.items", "SELECT count(*) AS n FROM items", "--with-live", "--json")
    assert joined.document["rows"] == [{"n": "360"}]

    one = orders("archive", "restore", "old_orders", "--key", "3", "--json")
    assert one.code == 0, one.err
    assert orders.sql("SELECT line FROM items WHERE order_number = 'N3' ORDER BY 1") == [(1,), (2,), (3,)]
    assert orders.sql("SELECT count(*) FROM item_notes WHERE order_number = 'N3'") == [(1,)]
    require_no_dangling_row(orders)
    rest = orders("archive", "restore", "old_orders", "--all", "--json")
    assert rest.code == 0, rest.err
    assert rest.document["waiting"] == 0
    assert changed(orders) == []
    nothing = orders("archive", "restore", "old_orders", "--all", "--json").document
    assert (nothing["rows"], nothing["waiting"]) == (0, 0)
    assert orders("archive", "verify").code == 0


def before(shell: Shell) -> list[tuple[object, ...]]:
    return shell.sql("SELECT name, count(*) FROM before GROUP BY 1")


def test_a_row_waits_in_its_archive_until_what_it_refers_to_is_back(orders: Shell) -> None:
    assert orders("archive", "run").code == 0
    alone = orders("archive", "restore", "old_orders.items", "--key", "N5,1", "--json").document
    assert (alone["rows"], alone["waiting"]) == (0, 1)
    # Invoice 1 is over orders 1 and 2; order 10 follows order 9.
    one = orders("archive", "restore", "old_orders", "--key", "1", "--key", "10", "--json").document
    # Order 10 with its three items, a note and its answer, and the invoice.
    assert one["waiting"] == 7
    assert orders.sql("SELECT id FROM orders WHERE id <= 10") == [(1,)]
    assert orders.sql("SELECT count(*) FROM invoices WHERE id = 1") == [(0,)]
    two = orders("archive", "restore", "old_orders", "--key", "2", "--json").document
    assert two["along"]["public.invoices"] == 1
    assert orders.sql("SELECT count(*) FROM invoices WHERE id = 1") == [(1,)]
    refused = orders("archive", "restore", "old_orders.items", "--since", "2021-01-01", "--json")
    assert "have no age" in refused.document["error"]["message"]
    assert orders("archive", "restore", "old_orders", "--all").code == 0
    assert changed(orders) == []


def interfering(orders: Shell, statement: str) -> Callable[[Event], None]:
    """Another session, between the reading of rows and their deletion."""
    import psycopg

    def interfere(event: Event) -> None:
        if event.name == "archive.registered":
            with psycopg.connect(orders.dsn, autocommit=True) as other:
                other.execute(statement.encode())

    return interfere


def test_a_row_stays_with_all_it_belongs_to_if_anything_changed_meanwhile(orders: Shell) -> None:
    statement = """UPDATE item_notes SET body = 'mine' WHERE id IN (7, 213);
        INSERT INTO items VALUES ('N3', 4, 'late'); DELETE FROM item_notes WHERE id = 11"""
    interfere, seen = interfering(orders, statement), list[str]()

    def meanwhile(event: Event) -> None:
        """Between reading and deletion of the first archive, which is of the youngest rows; and a look after."""
        if event.name in ("archive.registered", "archive.after_commit") and event.name not in seen:
            seen.append(event.name)
            interfere(event)
            if event.name == "archive.registered":
                return
            # Order 7 has a note that was changed; 13 one that was answered in one that was; 3 an item that is new.
            assert {3, 7, 13} <= {row[0] for row in orders.sql("SELECT id FROM orders WHERE placed < '2022-01-01'")}
            for number in (3, 7, 13):
                assert orders.sql(f"SELECT count(*) >= 3 FROM items WHERE order_number = 'N{number}'") == [(True,)]
            require_no_dangling_row(orders)

    with subscribed(meanwhile):
        [done] = orders("archive", "run", "--json").document["policies"]
    assert (seen, done["kept"] > 0) == (["archive.registered", "archive.after_commit"], True)
    require_no_dangling_row(orders)
    orders.sql("UPDATE before SET row = replace(row, '\"note 7\"', 'mine') WHERE row LIKE '(7,N7,%note%'")
    orders.sql("UPDATE before SET row = replace(row, '\"answer 13\"', 'mine') WHERE row LIKE '(213,%'")
    orders.sql("DELETE FROM before WHERE name = 'item_notes' AND row LIKE '(11,%'")
    orders.sql("INSERT INTO before VALUES ('items', '(N3,4,late)')")
    assert orders("archive", "restore", "old_orders", "--all", "--json").document["waiting"] == 0
    assert changed(orders) == []


def test_tables_in_a_circle_and_tables_without_a_key_are_refused(orders: Shell) -> None:
    orders.sql("CREATE TABLE keyless (number text REFERENCES orders (number))")
    answer = orders("archive", "run", "--dry-run")
    assert (answer.code, "public.keyless has no primary key" in answer.err) == (1, True), answer.err
    orders.sql("DROP TABLE keyless; ALTER TABLE orders ADD COLUMN first_note int REFERENCES item_notes")
    answer = orders("archive", "run")
    assert (answer.code, "in a circle of foreign keys" in answer.err) == (1, True), answer.err
    orders.sql("ALTER TABLE orders DROP COLUMN first_note")


def test_holds_expiry_and_compaction_keep_a_family_together(orders: Shell) -> None:
    policy = orders.folder / "dags" / "archives" / "old_orders.yaml"
    policy.write_text(POLICY + "retention: 1y\n")
    assert orders("archive", "run").code == 0
    made = orders("archive", "list", "--json").document["archives"]
    first = next(one["archive"] for one in made if one["policy"] == "old_orders")
    assert orders("archive", "hold", first, "--reason", "case 9").code == 0
    held = [one for one in orders("archive", "list", "--json").document["archives"] if one["legal_hold"]]
    assert {one["policy"] for one in held} == {one["policy"] for one in made}
    assert orders("archive", "compact", "--json").document["policies"][0]["made"] == []
    done = orders("archive", "expire", "--now", "2099-01-01", "--json").document
    assert len(done["removed"]) == len(made) - len(held)
    assert sorted(done["held"]) == sorted(one["archive"] for one in held)
    assert orders("archive", "verify").code == 0
    assert orders("archive", "restore", "old_orders", "--all").code == 0
    require_no_dangling_row(orders)


def test_a_dry_run_tells_what_would_go_along(orders: Shell) -> None:
    orders.sql("ALTER TABLE orders DROP COLUMN follows")
    standing = counts(orders)
    rehearsed = orders("archive", "run", "--dry-run")
    [told] = orders("archive", "run", "--dry-run", "--json").document["policies"]
    assert counts(orders) == standing
    assert sum(told["eligible"].values()) == 100
    [done] = orders("archive", "run", "--json").document["policies"]
    assert (told["along"], told["along_is"]) == (done["along"], "exact")
    for table, rows in done["along"].items():
        assert f"with them {rows:,} rows of {table}" in rehearsed.out


def test_a_dry_run_counts_so_far_and_no_further(orders: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    orders.sql("ALTER TABLE orders DROP COLUMN follows")
    [whole] = orders("archive", "run", "--dry-run", "--json").document["policies"]
    monkeypatch.setattr("data_workbench.archive.running.MOST_REHEARSED", 15)
    rehearsed = orders("archive", "run", "--dry-run")
    [told] = orders("archive", "run", "--dry-run", "--json").document["policies"]
    assert (told["eligible"], told["along_is"]) == (whole["eligible"], "at least")
    assert told["along"]["public.items"] == 15
    for table, rows in told["along"].items():
        assert 0 < rows <= min(2 * 15, whole["along"][table])
        assert f"with them at least {rows:,} rows of {table}" in rehearsed.out


def test_a_dry_run_tells_what_it_can_on_a_server_that_only_reads(orders: Shell) -> None:
    import psycopg

    name = orders.sql("SELECT quote_ident(current_database())")[0][0]
    orders.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        rehearsed = orders("archive", "run", "--dry-run")
        answer = orders("archive", "run", "--dry-run", "--json")
    finally:
        with psycopg.connect(orders.dsn, autocommit=True, options="-c default_transaction_read_only=off") as session:
            session.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
    assert (rehearsed.code, answer.code) == (0, 0), answer.err
    [told] = answer.document["policies"]
    assert (sum(told["eligible"].values()) > 0, told["along"], told["along_is"]) == (True, None, "unknown")
    assert "is unknown" in rehearsed.out
