"""Steps that PostgreSQL computes itself: what stands in the end, and what is counted, is what a staged run gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import BalanceError
from data_workbench.events import Event, subscribed
from data_workbench.pipelines.explain import explain
from data_workbench.pipelines.options import RunOptions

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

STEPS = """
steps:
  - {name: cheap, input: things, filter: "price < $most"}
  - {name: named, join: {with: kinds, on: {kind: kind}}}
  - {name: told, derive: {label: "title || ' ' || upper(name)", twice: price * 2, day: "date_trunc('day', changed)"}}
"""
PIPELINE = """
version: 1
pipeline: priced
engine: {name: duckdb, push_down: %(push)s}
params: {most: {type: integer, default: 40}}
sources:
  things: {connection: pg, stream: public.things}
  kinds: {connection: pg, stream: public.kinds}
%(steps)s
destinations:
  there: {connection: pg, table: public.%(table)s, %(target)s}
"""
GROUPED = (
    STEPS
    + "  - {name: sums, aggregate: {by: [title], take: {n: count(*), total: sum(price), last: max(name)},"
    + " having: n > 20}}\n"
)


@pytest.fixture
def things(site: Site) -> Site:
    site.sql("CREATE TABLE kinds (kind int PRIMARY KEY, title text)")
    site.sql("INSERT INTO kinds VALUES (0, 'none'), (1, 'one'), (2, 'two')")
    site.sql(
        "CREATE TABLE things (id bigint PRIMARY KEY, kind int, name text, price numeric(12,4), document jsonb,"
        " changed timestamptz)"
    )
    site.sql(
        "INSERT INTO things SELECT n, n % 4, 'thing ' || n, n / 7.0, jsonb_build_object('n', n),"
        " '2026-11-01 10:00+01'::timestamptz + n * interval '1 h' FROM generate_series(1, 500) n"
    )
    return site


def pipeline(*, push: bool, write: str, steps: str = STEPS, key: str = "id") -> str:
    target = f"write: {write}" + (f", key: {key}" if write == "merge" else "")
    table = "pushed" if push else "staged"
    return PIPELINE % {"push": str(push).lower(), "steps": steps, "table": table, "target": target}


def happened(site: Site, text: str, **params: Any) -> tuple[dict[str, Any], list[str]]:
    """A run's document and the names of its events."""
    names: list[str] = []

    def listen(event: Event) -> None:
        names.append(event.name)

    with subscribed(listen):
        return site.run(text, params), names


def rows(site: Site, table: str) -> list[str]:
    return [str(row[0]) for row in site.sql(f"SELECT t::text FROM {table} t ORDER BY 1")]


def told(document: dict[str, Any]) -> dict[str, Any]:
    """What both ways have to tell alike."""
    return {name: document[name] for name in ("sources", "steps", "destinations", "state")}


def both(site: Site, write: str, steps: str = STEPS, key: str = "id", **params: Any) -> dict[str, Any]:
    """Run the two ways, each into its table; the document of the pushed one, which is like the other."""
    found, events = happened(site, pipeline(push=True, write=write, steps=steps, key=key), **params)
    assert "stage.read" not in events, found.get("not_pushed_down")
    assert "load.compared" in events
    other, staged = happened(site, pipeline(push=False, write=write, steps=steps, key=key), **params)
    assert "stage.read" in staged
    assert told(found) == told(other)
    assert found["reconciliation"]["clean"] is True
    assert rows(site, "pushed") == rows(site, "staged") != []
    return found


@pytest.mark.parametrize("write", ["replace", "append", "merge"])
def test_steps_computed_by_the_database_give_the_rows_and_counts_of_a_staged_run(things: Site, write: str) -> None:
    document = both(things, write)
    assert document["steps"]["cheap"]["filtered"] > 0
    assert document["steps"]["named"]["filtered"] > 0


def test_groups_computed_by_the_database_are_those_of_a_staged_run(things: Site) -> None:
    document = both(things, "merge", GROUPED, key="title")
    assert document["steps"]["sums"]["collapsed"] > 0


def test_columns_of_several_collations_are_compared_letter_by_letter_both_ways(things: Site) -> None:
    """Two spellings are two values, and Z comes before a, whatever the columns' collations say of it."""
    collations = {name for (name,) in things.sql("SELECT collname FROM pg_collation WHERE collprovider IN ('i', 'c')")}
    assert "C" in collations
    loose, other = '"C"', '"POSIX"'
    if "und-x-icu" in collations:
        things.sql("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        loose, other = "loose", '"de-x-icu"'
    things.sql("ALTER TABLE kinds DROP CONSTRAINT kinds_pkey")
    things.sql(f"ALTER TABLE kinds ALTER title TYPE text COLLATE {loose}, ADD PRIMARY KEY (title)")
    things.sql(f"ALTER TABLE things ADD word text COLLATE {other}")
    things.sql("UPDATE things SET word = (ARRAY['One', 'ONE', 'one', 'Öne', 'two', 'TWO', NULL])[1 + id % 7]")
    steps = """
steps:
  - {name: few, input: things, select: [id, name, word]}
  - {name: cheap, filter: "word > 'P' OR word < 'a' OR word = 'one'"}
  - {name: named, join: {with: kinds, on: {word: title}, how: left}}
  - {name: sums, aggregate: {by: [word], take: {n: count(*), least: min(name), found: count(kind)}}}
"""
    document = both(things, "merge", steps, key="word")
    assert document["steps"]["sums"]["out"] > 3
    assert things.sql("SELECT word, found FROM pushed WHERE word IN ('one', 'ONE')") == [("ONE", 0), ("one", 72)]


def test_a_key_that_is_left_out_now_is_taken_back_and_what_others_wrote_stays(things: Site) -> None:
    both(things, "merge")
    for table in ("pushed", "staged"):
        things.sql(f"INSERT INTO {table} SELECT 499, kind, 'theirs', price FROM {table} LIMIT 1")
    things.sql("UPDATE things SET price = 1000 WHERE id = 5")
    things.sql("UPDATE things SET name = 'changed' WHERE id = 9")
    things.sql("DELETE FROM kinds WHERE title = 'two'")
    document = both(things, "merge")
    there = document["destinations"]["there"]
    assert there["updated"] == 1
    assert there["deleted"] == there["retracted"] > 1
    assert things.one("SELECT name FROM pushed WHERE id = 499") == "theirs"


def test_a_value_that_cannot_be_computed_goes_the_staged_way_and_its_row_is_set_aside(things: Site) -> None:
    steps = "steps: [{name: told, input: things, derive: {rest: 10 % kind, name: lower(name)}}]"
    text = pipeline(push=True, write="merge", steps=steps).replace("kinds: {connection: pg, stream: public.kinds}", "")
    document, events = happened(things, text)
    assert "stage.read" in events
    assert document["steps"]["told"]["quarantined"] == 125
    assert document["pushed_down"] is False
    assert "division by zero" in document["not_pushed_down"]
    assert len(things.quarantined("priced")) == 125
    assert things.one("SELECT count(*) FROM pushed") == 375
    again, events = happened(things, text)
    assert "load.compared" not in events
    assert "rows wait in the quarantine" in again["not_pushed_down"]


def test_rows_that_the_table_changes_are_found_before_the_commit(things: Site) -> None:
    things.run(pipeline(push=True, write="merge"))
    things.sql(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := 'spoilt'; RETURN NEW; END $$"
    )
    things.sql("CREATE TRIGGER spoils BEFORE UPDATE ON pushed FOR EACH ROW EXECUTE FUNCTION spoil()")
    things.sql("UPDATE things SET name = 'changed' WHERE id = 6")
    document, error = things.try_run(pipeline(push=True, write="merge"))
    assert error is not None
    assert document["reconciliation"]["clean"] is False


@pytest.mark.parametrize("moment", ["load.before_commit", "load.after_commit"])
def test_a_pushed_load_killed_at_its_commit_goes_on_and_doubles_nothing(things: Site, moment: str) -> None:
    class Killed(BaseException):
        pass

    def listen(event: Event) -> None:
        if event.name == moment:
            raise Killed

    text = pipeline(push=True, write="append")
    runner, definition = things.runner(), things.definition(text)
    run_id = runner.begin(definition, params={}, options=RunOptions())
    runner.stage(run_id)
    with subscribed(listen), pytest.raises(Killed):
        runner.load(run_id, "there")
    runner.load(run_id, "there")
    runner.reconcile(run_id)
    other = things.run(pipeline(push=False, write="append"))
    assert told(runner.result(run_id)) == told(other)
    assert rows(things, "pushed") == rows(things, "staged")


def planned(site: Site, text: str) -> dict[str, Any]:
    return explain(site.definition(text), {}, site.settings, site.runner().connections, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("push_down: true", "push_down: false"), "engine says push_down: false"),
        (("twice: price * 2", "twice: md5(document)"), "document"),
        (("twice: price * 2", "twice: ln(price)"), "step 'told': LN(\"price\") may mean something else"),
        (("public.things}", "public.things, cursor: {column: changed}}"), "source 'things': it has a cursor"),
        (("destinations:", "contract: {told: {columns: {label: {required: true}}}}\ndestinations:"), "contract"),
        (("destinations:", "destinations:\n  too: {connection: pg, table: public.too, key: id}"), "it writes 2 tables"),
        (
            ("things: {connection: pg, stream: public.things}", "things: {connection: files, stream: things.csv}"),
            "source 'things' is not in the destination's database",
        ),
    ],
)
def test_what_is_not_pushed_is_told_with_the_reason(things: Site, change: tuple[str, str], reason: str) -> None:
    (things.files / "things.csv").write_text("id,kind,name,price,changed\n1,1,one,2.5,2026-11-01\n", encoding="utf-8")
    found = planned(things, pipeline(push=True, write="merge").replace(*change))
    assert found["pushed_down"] is False
    assert reason in found["not_pushed_down"]


def test_a_plan_tells_that_steps_are_pushed(things: Site) -> None:
    found = planned(things, pipeline(push=True, write="merge"))
    assert (found["pushed_down"], found["not_pushed_down"]) == (True, None)


@pytest.mark.parametrize("write", ["merge", "replace"], ids=["into the table", "by the staging table"])
def test_counts_that_do_not_add_up_end_the_run(things: Site, monkeypatch: Any, write: str) -> None:
    from data_workbench.connectors.postgres.pushed import PushedLoad

    compute = PushedLoad._compute

    def losing(self: PushedLoad, **options: Any) -> Any:
        counted, digest = compute(self, **options)
        counted["told"][0] -= 1  # type: ignore[index]
        return counted, digest

    monkeypatch.setattr(PushedLoad, "_compute", losing)
    _, error = things.try_run(pipeline(push=True, write=write))
    assert isinstance(error, BalanceError)
    assert things.one("SELECT count(*) FROM pushed") == 0


def test_rows_that_fill_the_holes_of_earlier_pages_are_owned(things: Site, monkeypatch: Any) -> None:
    monkeypatch.setattr("data_workbench.connectors.postgres.writer._EXTENDED_AT_ONCE", 0)
    text = pipeline(push=True, write="append").replace("write: append", "write: append, key: id")
    first = things.run(text)["destinations"]["there"]["inserted"]
    things.sql("INSERT INTO pushed SELECT id + 100000, kind, repeat('x', 500), price FROM pushed")
    pages = "SELECT pg_relation_size('pushed') / 8192"
    before = things.one(pages)
    things.sql("DELETE FROM pushed WHERE id % 2 = 0")
    things.sql("VACUUM pushed")
    things.sql("TRUNCATE things")
    things.sql("INSERT INTO things SELECT n, n % 4, 'more', 1, NULL, now() FROM generate_series(1001, 1020) n")
    document, events = happened(things, text)
    assert "stage.read" not in events, document.get("not_pushed_down")
    assert document["destinations"]["there"]["inserted"] == 15
    assert things.one(pages) == before
    assert things.one("SELECT sum(amount) FROM _workbench.owned_keys WHERE table_name LIKE '%pushed%'") == first + 15


def test_a_sum_that_no_decimal_holds_goes_the_staged_way_and_sets_its_group_aside(site: Site) -> None:
    site.sql("CREATE TABLE bills (id int PRIMARY KEY, shop text, cents numeric(38,0))")
    site.sql(f"INSERT INTO bills VALUES (1, 'north', 10), (2, 'south', 9{'0' * 37}), (3, 'south', 9{'0' * 37})")
    document = site.run("""
        version: 1
        pipeline: bills
        sources: {bills: {connection: pg, stream: public.bills}}
        steps: [{name: sums, aggregate: {by: [shop], take: {cents: sum(cents)}}}]
        destinations: {there: {connection: pg, table: public.sums, key: shop}}
    """)
    assert (document["pushed_down"], document["state"]) == (False, "success")
    assert document["not_pushed_down"]
    assert document["steps"]["sums"]["quarantined"] == 1
    assert site.sql("SELECT shop, cents FROM sums") == [("north", 10)]
