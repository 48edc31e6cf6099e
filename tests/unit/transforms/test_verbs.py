"""Every verb: rows, counts, and what happens to NULLs, errors and empty inputs."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_workbench.errors import SchemaConflict, TransformError
from data_workbench.records.types import native_type, with_native

if TYPE_CHECKING:
    from .conftest import Bench


PEOPLE = pa.table(
    {
        "id": [1, 2, 3, 4],
        "name": ["ann", "bob", None, "ann"],
        "amount": ["10", "x", "30", None],
        "at": pa.array([datetime(2026, 1, day, tzinfo=UTC) for day in (4, 3, 2, 1)], pa.timestamp("us", "UTC")),
    }
)


def test_select_takes_columns_in_the_order_named(bench: Bench) -> None:
    out = bench.run({"people": PEOPLE}, [{"name": "s", "select": ["name", "id"]}])
    assert out.tables["s"].column_names == ["name", "id"]
    assert out.column("s", "id") == [1, 2, 3, 4]
    assert out.counts("s") == {"in": 4, "out": 4}


def test_the_key_follows_a_rename_and_ends_where_it_is_left_out(bench: Bench) -> None:
    steps = [{"name": "r", "rename": {"id": "number"}}, {"name": "s", "select": ["name"]}]
    plan = bench.run({"people": PEOPLE}, steps, about={"people": {"key": ("id",), "key_is_unique": True}}).plan
    assert plan.node("r").key == ("number",)
    assert plan.node("r").key_is_unique
    assert plan.node("s").key == ()


def test_a_derived_column_may_replace_one(bench: Bench) -> None:
    out = bench.run({"people": PEOPLE}, [{"name": "d", "derive": {"name": "upper(name)", "twice": "id * 2"}}])
    assert out.column("d", "name") == ["ANN", "BOB", None, "ANN"]
    assert out.column("d", "twice") == [2, 4, 6, 8]
    assert out.tables["d"].column_names == ["id", "name", "amount", "at", "twice"]


def test_a_row_whose_expression_fails_is_quarantined_and_the_rest_goes_on(bench: Bench) -> None:
    out = bench.run(
        {"people": PEOPLE},
        [{"name": "d", "derive": {"n": "CAST(amount AS INTEGER)"}}],
        about={"people": {"key": ("id",)}},
    )
    assert out.column("d", "n") == [10, 30, None]
    assert out.counts("d") == {"in": 4, "out": 3, "quarantined": 1}
    (record,) = out.quarantine
    assert (record["node"], record["rules"], record["key"]) == ("d", ["derive n"], '{"id":2}')
    assert "amount = x" in record["reason"]


def test_filter_drops_rows_that_are_not_true_and_quarantines_errors(bench: Bench) -> None:
    out = bench.run({"people": PEOPLE}, [{"name": "f", "filter": "CAST(amount AS INTEGER) > 20"}])
    assert out.column("f", "id") == [3]
    assert out.counts("f") == {"in": 4, "out": 1, "filtered": 2, "quarantined": 1}


def test_an_expression_after_a_filter_never_sees_filtered_rows(bench: Bench) -> None:
    steps = [{"name": "f", "filter": "amount <> 'x'"}, {"name": "d", "derive": {"n": "CAST(amount AS INTEGER)"}}]
    out = bench.run({"people": PEOPLE}, steps)
    assert out.column("d", "n") == [10, 30]
    assert not out.quarantine


def test_cast_quarantines_what_cannot_be_cast(bench: Bench) -> None:
    out = bench.run({"people": PEOPLE}, [{"name": "c", "cast": {"amount": "decimal(10,2)"}}])
    assert out.column("c", "amount") == [Decimal("10.00"), Decimal("30.00"), None]
    assert out.counts("c") == {"in": 4, "out": 3, "quarantined": 1}
    assert out.quarantine[0]["rules"] == ["cast amount"]
    assert "amount: x is no decimal(10,2)" in out.quarantine[0]["reason"]


@pytest.mark.parametrize(
    ("rule", "ids"),
    [
        ({"by": "name"}, [1, 2, 3]),
        ({"by": "name", "keep": "last"}, [2, 3, 4]),
        ({"by": "name", "order": ["at"]}, [2, 3, 4]),
        ({"by": "name", "keep": "last", "order": ["at desc"]}, [2, 3, 4]),
    ],
)
def test_deduplicate_keeps_the_first_or_last_by_order(bench: Bench, rule: dict[str, Any], ids: list[int]) -> None:
    out = bench.run({"people": PEOPLE}, [{"name": "d", "deduplicate": rule}])
    assert out.column("d", "id") == ids
    assert out.counts("d") == {"in": 4, "out": 3, "deduplicated": 1}


LOOKUP = {"connection": "c", "stream": "cities", "on": {"name": "person"}, "take": {"city": "town"}}


def test_lookup_takes_the_first_match_and_null_where_there_is_none(bench: Bench) -> None:
    side = pa.table({"person": ["ann", "ann", None], "town": ["Rome", "Oslo", "Bern"]})
    out = bench.run({"people": PEOPLE}, [{"name": "l", "lookup": LOOKUP}], sides={"lookup:l": side})
    assert out.column("l", "city") == ["Rome", None, None, "Rome"]
    assert out.counts("l") == {"in": 4, "out": 4}


def test_lookup_quarantines_a_missing_value_but_not_a_null(bench: Bench) -> None:
    side = pa.table({"person": ["ann"], "town": ["Rome"]})
    steps = [{"name": "l", "lookup": {**LOOKUP, "missing": "quarantine"}}]
    out = bench.run({"people": PEOPLE}, steps, sides={"lookup:l": side})
    assert out.column("l", "id") == [1, 3, 4]
    assert "nothing in cities for name = bob" in out.quarantine[0]["reason"]


ORDERS = pa.table({"person": [1, 1, 3, 9], "what": ["a", "b", "c", "d"]})


@pytest.mark.parametrize(
    ("how", "ids", "counts"),
    [
        ("inner", [1, 1, 3], {"in": 4, "out": 3, "expanded": 1, "filtered": 2}),
        ("left", [1, 1, 2, 3, 4], {"in": 4, "out": 5, "expanded": 1}),
        ("anti", [2, 4], {"in": 4, "out": 2, "filtered": 2}),
    ],
)
def test_joins_account_for_matches_and_misses(bench: Bench, how: str, ids: list[int], counts: dict[str, int]) -> None:
    steps = [{"name": "j", "input": "people", "join": {"with": "orders", "on": {"id": "person"}, "how": how}}]
    out = bench.run({"people": PEOPLE, "orders": ORDERS}, steps)
    assert out.column("j", "id") == ids
    assert out.counts("j") == counts
    if how == "left":
        assert out.column("j", "what") == ["a", "b", None, "c", None]


def test_a_join_on_the_unique_key_of_the_right_keeps_the_key_of_the_left(bench: Bench) -> None:
    cities = pa.table({"person": [1, 2], "town": ["Rome", "Oslo"]})
    steps = [{"name": "j", "input": "people", "join": {"with": "cities", "on": {"id": "person"}}}]
    about = {"people": {"key": ("id",)}, "cities": {"key": ("person",)}}
    out = bench.run({"people": PEOPLE, "cities": cities}, steps, about=about)
    assert out.plan.node("j").key == ("id",)
    assert out.column("j", "town") == ["Rome", "Oslo"]


def test_names_on_both_sides_of_a_join_are_refused(bench: Bench) -> None:
    other = pa.table({"person": [1], "name": ["x"]})
    steps = [{"name": "j", "input": "people", "join": {"with": "other", "on": {"id": "person"}}}]
    with pytest.raises(SchemaConflict, match="both sides of the join have name"):
        bench.run({"people": PEOPLE, "other": other}, steps)


def test_aggregate_folds_groups_in_the_order_they_appear(bench: Bench) -> None:
    take = {"n": "count(*)", "ids": "list(id)", "last": "max(at)", "sum": "sum(id)"}
    out = bench.run({"people": PEOPLE}, [{"name": "a", "aggregate": {"by": ["name"], "take": take}}])
    assert out.column("a", "name") == ["ann", "bob", None]
    assert out.column("a", "ids") == [[1, 4], [2], [3]]
    assert out.column("a", "sum") == [5, 2, 3]
    assert out.tables["a"].schema.field("sum").type == pa.int64()
    assert out.counts("a") == {"in": 4, "out": 3, "collapsed": 1}
    assert out.plan.node("a").key == ("name",)


def test_aggregate_by_nothing_makes_one_row_and_none_of_no_rows(bench: Bench) -> None:
    steps = [{"name": "a", "aggregate": {"by": [], "take": {"n": "count(*)"}}}]
    assert bench.run({"people": PEOPLE}, steps).rows("a") == [{"n": 4}]
    assert bench.run({"people": PEOPLE.slice(0, 0)}, steps).rows("a") == []


def test_unnest_gives_a_row_per_element_and_filters_empty_lists(bench: Bench) -> None:
    table = pa.table({"id": [1, 2, 3, 4], "tags": [["a", "b"], [], None, ["c", None]]})
    out = bench.run({"t": table}, [{"name": "u", "unnest": {"column": "tags", "into": "tag"}}])
    assert [(row["id"], row["tag"]) for row in out.rows("u")] == [(1, "a"), (1, "b"), (4, "c"), (4, None)]
    assert out.counts("u") == {"in": 4, "out": 4, "expanded": 2, "filtered": 2}


def test_unnest_of_structs_gives_a_column_per_field(bench: Bench) -> None:
    table = pa.table({"id": [1], "parts": [[{"kind": "x", "n": 1}, {"kind": "y", "n": 2}]]})
    out = bench.run({"t": table}, [{"name": "u", "unnest": {"column": "parts", "into": ["kind", "n"]}}])
    assert out.rows("u") == [{"id": 1, "kind": "x", "n": 1}, {"id": 1, "kind": "y", "n": 2}]


def test_unnest_reads_a_json_array(bench: Bench) -> None:
    field = with_native(pa.field("tags", pa.string()), "jsonb")
    table = pa.table([pa.array(['["a", "b"]', "[]"])], schema=pa.schema([field]))
    assert bench.run({"t": table}, [{"name": "u", "unnest": {"column": "tags", "into": "tag"}}]).column("u", "tag") == [
        "a",
        "b",
    ]
    table = pa.table([pa.array(['[{"k": "x", "n": 1}]'])], schema=pa.schema([field]))
    out = bench.run({"t": table}, [{"name": "u", "unnest": {"column": "tags", "into": ["k", "n"]}}])
    assert out.rows("u") == [{"k": "x", "n": "1"}]


EVERY_VERB: list[dict[str, Any]] = [
    {"select": ["id"]},
    {"rename": {"id": "x"}},
    {"derive": {"x": "id + 1"}},
    {"filter": "id > 1"},
    {"cast": {"id": "text"}},
    {"deduplicate": {"by": "id"}},
    {"aggregate": {"by": ["id"], "take": {"n": "count(*)"}}},
    {"join": {"with": "other", "on": {"id": "id"}}},
    {"lookup": {"connection": "c", "stream": "s", "on": {"id": "id"}, "take": {"v": "value"}}},
]


@pytest.mark.parametrize("verb", EVERY_VERB, ids=lambda verb: next(iter(verb)))
def test_every_verb_takes_no_rows(bench: Bench, verb: dict[str, Any]) -> None:
    other = pa.table({"id": pa.array([], pa.int64()), "value": pa.array([], pa.string())})
    out = bench.run(
        {"people": PEOPLE.slice(0, 0), "other": other},
        [{"name": "s", "input": "people", **verb}],
        sides={"lookup:s": other},
    )
    assert out.tables["s"].num_rows == 0
    assert out.counts("s") == {}


def test_params_and_the_runs_time_are_bound_never_pasted(bench: Bench) -> None:
    nasty = "ann' OR 'a'='a"
    steps = [{"name": "f", "filter": "name = $who OR $who IS NULL"}, {"name": "d", "derive": {"now": "now()"}}]
    assert bench.run({"people": PEOPLE}, steps, params={"who": ("text", nasty)}).column("d", "id") == []
    out = bench.run({"people": PEOPLE}, steps, params={"who": ("text", "bob")})
    assert out.column("d", "now") == [bench.now]
    assert len(bench.run({"people": PEOPLE}, steps, params={"who": ("text", None)}).rows("d")) == 4


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        ({"derive": {"x": "nmae || 'x'"}}, TransformError, "s: derive x: unknown column 'nmae'"),
        ({"derive": {"x": "id + at"}}, TransformError, "s: derive x"),
        ({"filter": "id + 1"}, TransformError, "not true or false"),
        ({"select": ["nmae"]}, SchemaConflict, "unknown column 'nmae'"),
        ({"rename": {"id": "name"}}, SchemaConflict, None),
        ({"rename": {"id": "NAME"}}, SchemaConflict, "differ only in case"),
        ({"cast": {"id": "intger"}}, TransformError, "intger"),
        ({"derive": {"x": "random()"}}, TransformError, "random"),
        ({"aggregate": {"by": ["name"], "take": {"x": "id"}}}, TransformError, "outside an aggregate"),
        ({"unnest": {"column": "id", "into": "x"}}, SchemaConflict, "not a list"),
        ({"deduplicate": {"by": "nope"}}, SchemaConflict, "nope"),
    ],
)
def test_mistakes_are_told_before_a_row_is_read(
    bench: Bench, step: dict[str, Any], error: type[Exception], words: str | None
) -> None:
    with pytest.raises(error, match=words):
        bench.run({"people": PEOPLE}, [{"name": "s", **step}])


def test_a_node_read_twice_is_counted_once(bench: Bench) -> None:
    steps = [
        {"name": "f", "filter": "id > 1"},
        {"name": "a", "input": "f", "aggregate": {"by": [], "take": {"n": "count(*)"}}},
        {"name": "b", "input": "f", "select": ["id"]},
    ]
    out = bench.run({"people": PEOPLE}, steps, needed={"f", "a", "b"})
    assert out.counts("f") == {"in": 4, "out": 3, "filtered": 1}
    assert out.rows("a") == [{"n": 3}]
    assert out.column("b", "id") == out.column("f", "id") == [2, 3, 4]


def test_unchanged_columns_keep_their_native_type_and_computed_ones_lose_it(bench: Bench) -> None:
    field = with_native(pa.field("doc", pa.string()), "jsonb")
    table = pa.table([pa.array(["{}"])], schema=pa.schema([field]))
    steps = [
        {"name": "r", "rename": {"doc": "d"}},
        {"name": "e", "derive": {"c": "d || ''"}},
        {"name": "u", "cast": {"c": "json"}},
    ]
    plan = bench.run({"t": table}, steps).plan
    assert native_type(plan.node("e").columns.field("d")) == "jsonb"
    assert native_type(plan.node("e").columns.field("c")) is None
    assert native_type(plan.node("u").columns.field("c")) == "json"


def test_lineage_tells_columns_and_how(bench: Bench) -> None:
    steps = [
        {"name": "r", "rename": {"name": "who"}},
        {"name": "d", "derive": {"label": "who || id"}},
        {"name": "f", "filter": "amount IS NOT NULL"},
        {"name": "a", "aggregate": {"by": ["who"], "take": {"labels": "count(label)"}}},
    ]
    plan = bench.run({"people": PEOPLE}, steps).plan
    who = plan.node("d").lineage["who"][0]
    assert (who.source, who.column, who.kind) == ("people", "name", "IDENTITY")
    assert {(one.column, one.kind) for one in plan.node("d").lineage["label"]} == {
        ("name", "TRANSFORMATION"),
        ("id", "TRANSFORMATION"),
    }
    assert {(one.column, one.kind) for one in plan.node("a").lineage["labels"]} == {
        ("name", "AGGREGATION"),
        ("id", "AGGREGATION"),
    }
    assert {one.column for one in plan.node("a").conditions} == {"amount", "name"}


PLAIN = "v e i k k0 v0 a0 hit place loser taken seen f l r s o status select order Name _f h rules count"
NASTY = [*PLAIN.split(" "), 'qu"ote', "it's", "with space", "émoji😀"]


@pytest.mark.slow
def test_columns_may_have_any_name(bench: Bench) -> None:
    table = pa.table({**{name: [1, 1, 2] for name in NASTY}, "xs": [["a"], ["b"], ["c"]], "id": [1, 2, 3]})
    side = pa.table({"id": [1, 2, 3], "place": ["x", "y", "z"]})
    steps: list[dict[str, Any]] = [
        {"name": "d", "input": "t", "derive": {"v": "v + i"}},
        {"name": "x", "deduplicate": {"by": ["loser", "place"]}},
        {"name": "m", "lookup": {"connection": "c", "stream": "s", "on": {"id": "id"}, "take": {"there": "place"}}},
        {"name": "u", "unnest": {"column": "xs", "into": "item"}},
        {"name": "j", "join": {"with": "o", "on": {"id": "id"}, "how": "left"}},
        {"name": "f", "filter": "e = 1"},
        {"name": "g", "aggregate": {"by": ["k0", 'qu"ote'], "take": {"v": "sum(v)", "w": "max(v)"}}},
    ]
    contract = {
        "d": {"columns": {name: {"required": True, "max": 1} for name in NASTY if name != "v"}, "unique": [["it's"]]}
    }
    about = {"t": {"key": ("id", "taken"), "has_overlap": True}}
    sides = {"lookup:m": side, "overlap:t": pa.table({"_wb_fingerprint": pa.array([], pa.string())})}
    other = pa.table({"id": [1], "w": ["x"]})
    out = bench.run({"t": table, "o": other}, steps, about=about, contract=contract, sides=sides, retract={"f"})
    assert out.rows("g") == [{"k0": 1, 'qu"ote': 1, "v": 2, "w": 2}]
    assert out.counts("d") == {"in": 3, "out": 1, "quarantined": 2}
