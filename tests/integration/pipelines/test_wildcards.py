"""One source for many streams: what is there is found when a run is planned, each with its own key and checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import SchemaConflict, StreamUnknown
from data_workbench.pipelines.explain import explain

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

COPY = """
version: 1
pipeline: everything
sources:
  all: {connection: pg, stream: shop.*, exclude: [shop.audit_*], cursor: {column: changed}, deletes: %(deletes)s}
destinations:
  copy: {connection: pg, %(target)s}
"""


def copy(target: str = "table: 'copied.{stream}', write: merge", *, deletes: str = "none") -> str:
    return COPY % {"target": target, "deletes": deletes}


@pytest.fixture
def shop(site: Site) -> Site:
    site.sql("DROP SCHEMA IF EXISTS shop, copied CASCADE")
    site.sql("CREATE SCHEMA shop")
    site.sql("CREATE TABLE shop.items (id int PRIMARY KEY, name text, changed timestamptz DEFAULT now())")
    site.sql('CREATE TABLE shop."Prices" (item int, currency text, amount numeric(9,2), PRIMARY KEY (item, currency))')
    site.sql("CREATE TABLE shop.audit_log (n int PRIMARY KEY)")
    site.sql("CREATE VIEW shop.shown AS SELECT * FROM shop.items")
    site.sql("INSERT INTO shop.items SELECT n, 'item ' || n FROM generate_series(1, 30) n")
    site.sql("INSERT INTO shop.\"Prices\" SELECT n, 'EUR', n + 0.5 FROM generate_series(1, 20) n")
    return site


def planned(site: Site, text: str) -> dict[str, Any]:
    runner = site.runner()
    return explain(site.definition(text), {}, runner.settings, runner.connections, site.metastore)


def test_every_table_that_fits_is_copied_by_its_own_key_and_read_from_its_own_checkpoint(shop: Site) -> None:
    first = shop.run(copy())
    assert first["destinations"]["copy"]["inserted"] == 50
    assert sorted(one["out"] for one in first["sources"].values()) == [20, 30]
    assert shop.one("SELECT count(*) FROM copied.items") == 30
    assert shop.one('SELECT sum(amount) FROM copied."Prices"') == shop.one('SELECT sum(amount) FROM shop."Prices"')
    shop.sql("UPDATE shop.items SET name = 'new', changed = now() WHERE id = 7")
    second = shop.run(copy())
    assert (second["destinations"]["copy"]["updated"], second["destinations"]["copy"]["inserted"]) == (1, 0)
    assert second["sources"]["all__shop_items_" + _digest("shop.items")]["out"] == 1
    assert shop.reconcile(copy())["clean"]


def _digest(stream: str) -> str:
    import hashlib

    return hashlib.sha256(stream.encode()).hexdigest()[:6]


def test_a_table_that_is_new_joins_the_next_run_and_one_that_is_gone_leaves_its_copy(shop: Site) -> None:
    shop.run(copy())
    shop.sql("CREATE TABLE shop.new (id int PRIMARY KEY)")
    shop.sql("INSERT INTO shop.new VALUES (1), (2)")
    shop.sql('DROP TABLE shop."Prices"')
    changes = {(one["action"], one["object"], one["destructive"]) for one in planned(shop, copy())["changes"]}
    assert changes == {("create", "copied.new", False), ("leave", "copied.Prices", False)}
    told = shop.run(copy())
    assert told["destinations"]["copy"]["inserted"] == 2
    assert shop.one('SELECT count(*) FROM copied."Prices"') == 20
    assert shop.reconcile(copy())["clean"]


def test_a_run_under_way_does_what_was_planned_whatever_comes_meanwhile(shop: Site) -> None:
    runner = shop.runner()
    run_id = runner.begin(shop.definition(copy()), params={})
    shop.sql("CREATE TABLE shop.later (id int PRIMARY KEY)")
    runner.stage(run_id)
    runner.load(run_id, "copy")
    runner.reconcile(run_id)
    assert shop.one("SELECT to_regclass('copied.later') IS NULL")
    shop.run(copy())
    assert shop.one("SELECT to_regclass('copied.later') IS NOT NULL")


def test_deletions_are_found_for_each_stream(shop: Site) -> None:
    text = copy(deletes="detect")
    shop.run(text)
    shop.sql("DELETE FROM shop.items WHERE id <= 3")
    assert shop.run(text)["destinations"]["copy"]["deleted"] == 3
    assert shop.one("SELECT count(*) FROM copied.items") == 27


def test_each_stream_goes_into_a_file_of_its_own(shop: Site) -> None:
    (shop.files / "shop").mkdir(exist_ok=True)
    text = copy("file: 'shop/{schema}.{stream}.parquet', write: replace").replace(
        "connection: pg, file", "connection: files, file"
    )
    shop.run(text)
    assert sorted(one.name for one in (shop.files / "shop").glob("*.parquet")) == [
        "shop.Prices.parquet",
        "shop.items.parquet",
    ]


def test_copies_in_the_place_they_are_made_from_are_not_copied_again(shop: Site) -> None:
    text = copy("table: 'shop.{stream}_copy', write: merge")
    shop.run(text)
    shop.run(text)
    found = [
        name
        for (name,) in shop.sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'shop' AND tablename ~ '_copy$' ORDER BY 1"
        )
    ]
    assert found == ["Prices_copy", "items_copy"]


def test_a_table_without_a_key_is_named_before_anything_is_read(shop: Site) -> None:
    shop.sql("CREATE TABLE shop.loose (a int)")
    with pytest.raises(SchemaConflict, match=r"shop\.loose has no key, so it cannot be merged") as caught:
        shop.try_run(copy())
    assert "exclude: [shop.loose]" in str(caught.value.hint)
    assert shop.one("SELECT to_regclass('copied.items') IS NULL")


def test_two_streams_for_one_place_are_refused(shop: Site) -> None:
    shop.sql("DROP SCHEMA IF EXISTS shopping CASCADE")
    shop.sql("CREATE SCHEMA shopping")
    shop.sql("CREATE TABLE shopping.items (id int PRIMARY KEY)")
    with pytest.raises(SchemaConflict, match=r"would both be written to copied\.items"):
        shop.try_run(copy().replace("shop.*", "shop*.items"))


def test_many_tables_for_one_place_are_told_what_is_missing(shop: Site) -> None:
    text = COPY.replace(", exclude: [shop.audit_*]", "") % {"target": "table: copied.all, key: id", "deletes": "none"}
    with pytest.raises(StreamUnknown, match=r"source 'all': .*shop\.\*") as caught:
        shop.try_run(text)
    assert "{stream}" in str(caught.value.hint)


def test_a_pattern_without_a_schema_is_of_public_tables(shop: Site) -> None:
    shop.sql("CREATE TABLE stock_in (id int PRIMARY KEY); CREATE TABLE stock_out (id int PRIMARY KEY)")
    shop.sql("CREATE TABLE stock_old (id int PRIMARY KEY)")
    text = copy().replace("shop.*", "stock_*").replace("shop.audit_*", "stock_old")
    assert sorted(shop.run(text)["sources"]) == ["all__stock_in", "all__stock_out"]


def test_a_name_that_a_stream_would_get_is_not_given_twice(shop: Site) -> None:
    shop.sql("CREATE TABLE stock_in (id int PRIMARY KEY)")
    text = (
        copy()
        .replace("shop.*", "stock_*")
        .replace("destinations:", "  all__stock_in: {connection: pg, stream: t}\ndestinations:")
    )
    with pytest.raises(SchemaConflict, match="'all__stock_in' is the name"):
        shop.try_run(text.replace("copy: {", "copy: {input: all, "))


def test_a_pattern_that_fits_nothing_is_told(shop: Site) -> None:
    with pytest.raises(StreamUnknown, match=r"source 'all': nothing fits 'shp\.\*'"):
        shop.try_run(copy().replace("shop.*", "shp.*"))
