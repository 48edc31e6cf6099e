"""Steps of every kind between real stores, run twice: secrets by connection, unions that merge, queries, functions."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from typing import TYPE_CHECKING

import pytest

from data_workbench.errors import TransformError
from data_workbench.metastore.tables.runs import runs

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

SECRET = "canary-9d1c secret of the vault"

PEOPLE = """
version: 1
pipeline: people
sources:
  staff: {connection: pg, stream: public.staff, key: id, cursor: {column: seen}, deletes: {when: gone}}
  guests: {connection: pg, stream: public.guests, key: id, cursor: {column: seen}, deletes: {when: gone}}
steps:
  - {name: welcome, input: guests, filter: height <> 'unknown'}
  - {name: all_people, input: staff, union: {with: welcome, keys: disjoint}}
  - {name: tall, parse: {column: height, quantity: {value: metres, to: m}}}
  - {name: keyed, surrogate_key: {into: uid, of: id, namespace: url}}
  - {name: safe, pseudonymise: {columns: mail, secret: vault}}
  - name: judged
    rules:
      set: {rules: [{name: big, when: metres >= 1.9, then: {size: "'big'"}}], default: {size: "'small'"}}
  - {name: few, select: [id, uid, mail, metres, size]}
destinations:
  table: {connection: pg, input: few, table: public.people, key: [id]}
"""


@pytest.fixture
def people(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    vault = {"conn_type": "generic", "host": "nowhere", "password": SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps(vault))
    for name in ("staff", "guests"):
        site.sql(
            f"CREATE TABLE {name} (id text PRIMARY KEY, mail text, height text, seen int, gone bool DEFAULT false)"
        )
    site.sql(
        "INSERT INTO staff VALUES ('s1', 'ann@x', '195 cm', 1), ('s2', 'bob@x', '6 ft', 2), ('s3', NULL, 'tall', 3)"
    )
    site.sql("INSERT INTO guests VALUES ('g1', 'cid@x', '1.5 m', 1), ('g2', 'dee@x', '1 m', 2)")
    return site


def pseudonym(mail: str) -> str:
    return hmac.new(SECRET.encode(), mail.encode(), hashlib.sha256).hexdigest()


def test_values_are_made_and_both_sides_of_a_union_follow_changes(people: Site) -> None:
    told = people.run(PEOPLE)
    assert told["steps"]["all_people"]["expanded"] == 2
    assert told["steps"]["tall"]["quarantined"] == 1
    rows = people.sql("SELECT id, uid::text, mail, round(metres::numeric, 3)::text, size FROM people ORDER BY id")
    assert rows == [
        ("g1", str(uuid.uuid5(uuid.NAMESPACE_URL, "g1")), pseudonym("cid@x"), "1.500", "small"),
        ("g2", str(uuid.uuid5(uuid.NAMESPACE_URL, "g2")), pseudonym("dee@x"), "1.000", "small"),
        ("s1", str(uuid.uuid5(uuid.NAMESPACE_URL, "s1")), pseudonym("ann@x"), "1.950", "big"),
        ("s2", str(uuid.uuid5(uuid.NAMESPACE_URL, "s2")), pseudonym("bob@x"), "1.829", "small"),
    ]
    people.sql("UPDATE guests SET height = 'unknown', seen = 9 WHERE id = 'g1'")
    people.sql("UPDATE guests SET gone = true, seen = 9 WHERE id = 'g2'")
    people.sql("UPDATE staff SET height = '1.9 m', seen = 9 WHERE id = 's2'")
    told = people.run(PEOPLE)
    assert told["destinations"]["table"]["deleted"] == 2
    assert people.sql("SELECT id, size FROM people ORDER BY id") == [("s1", "big"), ("s2", "big")]
    assert people.reconcile(PEOPLE)["clean"]


def test_a_key_that_one_side_no_longer_has_stays_while_another_has_it(people: Site) -> None:
    shared = PEOPLE.replace(", keys: disjoint", "").replace("pipeline: people", "pipeline: shared")
    people.sql("INSERT INTO guests VALUES ('s1', 'ann@x', '2 m', 1)")
    people.run(shared)
    people.sql("UPDATE guests SET height = 'unknown', seen = 9 WHERE id IN ('s1', 'g1')")
    people.run(shared)
    assert people.sql("SELECT id FROM people ORDER BY id") == [("g2",), ("s1",), ("s2",)]
    assert people.one("SELECT round(metres::numeric, 2)::text FROM people WHERE id = 's1'") == "1.95"
    assert people.reconcile(shared)["clean"]


def test_a_secret_is_in_no_document_log_or_stored_plan(people: Site, caplog: pytest.LogCaptureFixture) -> None:
    document = people.run(PEOPLE)
    records = people.quarantined("people")
    assert len(records) == 1
    with people.metastore.transaction() as connection:
        plans = [str(row) for row in connection.execute(runs.select())]
    told = json.dumps([document, records], default=str) + caplog.text + "".join(plans)
    assert "ann" not in json.dumps(document)
    assert "people" in told
    assert "canary" not in told


def test_a_run_without_its_secret_ends_before_anything_is_written(
    people: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps({"conn_type": "generic", "host": "nowhere"}))
    _, error = people.try_run(PEOPLE)
    assert isinstance(error, TransformError)
    assert "the password of connection 'vault' is not set" in error.message
    assert people.one("SELECT to_regclass('public.people')") is None


SALES = """
version: 1
pipeline: sales
sources:
  sales: {connection: pg, stream: public.sales, key: id, cursor: {column: seen}}
  rates: {connection: pg, stream: public.rates, key: [currency, since]}
steps:
  - {name: rated, input: sales, join: {with: rates, on: {currency: currency}, as_of: {day: since}, how: left}}
  - {name: running, window: {by: [shop], order: [day, id], take: {total: sum(amount * rate), place: row_number()}}}
  - name: monthly
    sql:
      query: |
        with months as (select shop, date_trunc('month', day)::date as month, amount from running)
        select shop, month, sum(amount) as amount, count(*) as sales from months group by shop, month
      key: [shop, month]
  - {name: wide, input: running, pivot: {by: shop, on: currency, values: [EUR, USD], take: sum(amount)}}
  - {name: long, unpivot: {columns: [EUR, USD], name: currency, value: amount}}
destinations:
  running: {connection: pg, input: running, table: public.running, key: [id]}
  monthly: {connection: pg, input: monthly, table: public.monthly, key: [shop, month]}
  long: {connection: pg, input: long, table: public.by_currency, key: [shop, currency]}
  sorted: {connection: files, input: wide, file: wide.csv}
"""


def test_tables_of_every_shape_come_out_the_same_when_rows_change(site: Site) -> None:
    site.sql(
        "CREATE TABLE sales (id int PRIMARY KEY, shop text, day date, currency text, amount numeric(10,2), seen int)"
    )
    site.sql("CREATE TABLE rates (currency text, since date, rate numeric(8,4), PRIMARY KEY (currency, since))")
    site.sql(
        "INSERT INTO rates VALUES ('EUR', '2026-01-01', 1), ('USD', '2026-01-01', 0.9), ('USD', '2026-02-01', 0.8)"
    )
    site.sql(
        "INSERT INTO sales VALUES (1, 'a', '2026-01-05', 'EUR', 10, 1), (2, 'a', '2026-02-05', 'USD', 20, 2),"
        " (3, 'b', '2026-01-20', 'USD', 5, 3), (4, 'a', '2026-01-31', 'USD', 30, 4)"
    )
    site.run(SALES)
    running = "SELECT id, total::float, place FROM running ORDER BY id"
    assert site.sql(running) == [(1, 10.0, 1), (2, 53.0, 3), (3, 4.5, 1), (4, 37.0, 2)]
    long = "SELECT shop, currency, amount::float FROM by_currency ORDER BY 1, 2"
    assert site.sql(long) == [("a", "EUR", 10.0), ("a", "USD", 50.0), ("b", "USD", 5.0)]
    assert (site.files / "wide.csv").read_text().splitlines()[0] == '"shop","EUR","USD"'
    site.sql("INSERT INTO sales VALUES (5, 'a', '2026-01-01', 'EUR', 1, 9)")
    told = site.run(SALES)
    assert told["sources"]["sales"]["read"] == 5
    assert site.sql(running) == [(1, 11.0, 2), (2, 54.0, 4), (3, 4.5, 1), (4, 38.0, 3), (5, 1.0, 1)]
    monthly = "SELECT shop, month::text, amount::float, sales FROM monthly ORDER BY 1, 2"
    assert site.sql(monthly) == [
        ("a", "2026-01-01", 41.0, 3),
        ("a", "2026-02-01", 20.0, 1),
        ("b", "2026-01-01", 5.0, 1),
    ]
    assert site.reconcile(SALES)["clean"]


LOOKED_UP = """
version: 1
pipeline: looked_up
sources:
  staff: {connection: pg, stream: public.staff, key: id}
steps:
  - {name: named, lookup: {connection: pg, stream: public.guests, on: {height: height}, take: {other: mail}}}
  - {name: loud, derive: {other: upper(other)}}
destinations:
  table: {connection: pg, input: loud, table: public.looked_up, key: [id]}
"""


def test_a_column_that_was_looked_up_is_traced_to_where_it_stands(people: Site) -> None:
    people.run(LOOKED_UP)
    [(loaded,)] = people.sql(
        "SELECT event FROM lineage_events WHERE event #>> '{job,name}' LIKE '%load.%' AND state = 'COMPLETE'"
    )
    assert {one["name"].rpartition(".")[2] for one in loaded["inputs"]} == {"staff", "guests"}
    fields = loaded["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert [(one["name"].rpartition(".")[2], one["field"]) for one in fields["other"]["inputFields"]] == [
        ("guests", "mail")
    ]


HISTORY = """
version: 1
pipeline: history
sources:
  prices: {connection: pg, stream: public.prices, key: [id, day], cursor: {column: day}}
steps:
  - {name: dated, versions: {key: id, at: day, track: price}}
  - {name: few, select: [id, price, valid_from, valid_to, is_current]}
destinations:
  table: {connection: pg, table: public.price_history, key: [id, valid_from]}
"""


def test_versions_follow_a_state_that_comes_late(site: Site) -> None:
    site.sql("CREATE TABLE prices (id int, day date, price numeric(8,2), PRIMARY KEY (id, day))")
    site.sql("INSERT INTO prices VALUES (1, '2026-01-01', 5), (1, '2026-03-01', 7), (1, '2026-04-01', 7)")
    site.run(HISTORY)
    versions = (
        "SELECT price::float, valid_from::text, valid_to::text, is_current FROM price_history ORDER BY valid_from"
    )
    assert site.sql(versions) == [(5.0, "2026-01-01", "2026-03-01", False), (7.0, "2026-03-01", None, True)]
    site.sql("INSERT INTO prices VALUES (1, '2026-02-01', 7)")
    site.run(HISTORY)
    assert site.sql(versions) == [(5.0, "2026-01-01", "2026-02-01", False), (7.0, "2026-02-01", None, True)]
    assert site.reconcile(HISTORY)["clean"]
