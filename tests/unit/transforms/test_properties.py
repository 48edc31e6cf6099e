"""Random small pipelines balance, and agree with plain Python about which rows are there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from .conftest import Bench

Row = dict[str, Any]
Model = tuple[list[Row], dict[str, int]]

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.one_of(st.none(), st.integers(0, 6)),
            "g": st.sampled_from(["a", "b", None]),
            "v": st.one_of(st.none(), st.integers(-5, 5)),
            "t": st.sampled_from(["1", "2", "x", None]),
            "xs": st.one_of(st.none(), st.lists(st.sampled_from(["p", "q", None]), max_size=3)),
        }
    ),
    max_size=25,
)
SCHEMA = pa.schema(
    [("k", pa.int64()), ("g", pa.string()), ("v", pa.int64()), ("t", pa.string()), ("xs", pa.list_(pa.string()))]
)
OTHER = pa.table({"g": ["a", "a", "c"], "w": [1, 2, 3]})
VERBS: dict[str, dict[str, Any]] = {
    "filter": {"filter": "v > 0"},
    "cast": {"cast": {"t": "integer"}},
    "derive": {"derive": {"t": "CAST(CAST(t AS INTEGER) AS VARCHAR)"}},
    "deduplicate": {"deduplicate": {"by": ["g", "v"], "keep": "last"}},
    "unnest": {"unnest": {"column": "xs", "into": "x"}},
    "aggregate": {"aggregate": {"by": ["g"], "take": {"v": "sum(v)"}}},
    "join": {"join": {"with": "other", "on": {"g": "g"}}},
    "left": {"join": {"with": "other", "on": {"g": "g"}, "how": "left"}},
    "anti": {"join": {"with": "other", "on": {"g": "g"}, "how": "anti"}},
    "sort": {"sort": {"by": ["v desc"], "limit": 5}},
    "window": {"window": {"by": ["g"], "order": ["v"], "take": {"p": "row_number()"}}},
    "union": {"union": {"with": ["twin"]}},
    "unpivot": {"unpivot": {"columns": ["k", "v"]}},
}
TWIN: list[Row] = [
    {"k": 7, "g": "b", "v": None, "t": "x", "xs": ["q"]},
    {"k": 1, "g": None, "v": 4, "t": "1", "xs": []},
]


def model_source(rows: list[Row]) -> Model:
    keyed = [row for row in rows if row["k"] is not None]
    last = {row["k"]: index for index, row in enumerate(keyed)}
    out = [row for index, row in enumerate(keyed) if last[row["k"]] == index]
    counts = {"quarantined": len(rows) - len(keyed), "deduplicated": len(keyed) - len(out)}
    return out, {"read": len(rows), "out": len(out), **counts}


def model_kept(counter: str, keep: Callable[[Row], bool]) -> Callable[[list[Row]], Model]:
    def model(rows: list[Row]) -> Model:
        out = [row for row in rows if keep(row)]
        return out, {"in": len(rows), "out": len(out), counter: len(rows) - len(out)}

    return model


def model_cast(rows: list[Row]) -> Model:
    kept, counts = model_kept("quarantined", lambda row: row["t"] != "x")(rows)
    return [{**row, "t": None if row["t"] is None else int(row["t"])} for row in kept], counts


def model_deduplicate(rows: list[Row]) -> Model:
    last = {(row["g"], row["v"]): index for index, row in enumerate(rows)}
    out = [row for index, row in enumerate(rows) if last[row["g"], row["v"]] == index]
    return out, {"in": len(rows), "out": len(out), "deduplicated": len(rows) - len(out)}


def model_unnest(rows: list[Row]) -> Model:
    full = [row for row in rows if row["xs"]]
    out = [{**{n: v for n, v in row.items() if n != "xs"}, "x": x} for row in full for x in row["xs"]]
    counts = {"filtered": len(rows) - len(full), "expanded": len(out) - len(full)}
    return out, {"in": len(rows), "out": len(out), **counts}


def model_aggregate(rows: list[Row]) -> Model:
    groups: dict[Any, list[int]] = {}
    for row in rows:
        groups.setdefault(row["g"], []).extend([row["v"]] if row["v"] is not None else [])
    out = [{"g": group, "v": sum(values) if values else None} for group, values in groups.items()]
    return out, {"in": len(rows), "out": len(out), "collapsed": len(rows) - len(out)}


def model_join(how: str) -> Callable[[list[Row]], Model]:
    def model(rows: list[Row]) -> Model:
        out: list[Row] = []
        lost = expanded = 0
        for row in rows:
            found = [w for g, w in zip(*OTHER.to_pydict().values(), strict=True) if g == row["g"]]
            if how == "anti":
                out.extend([] if found else [row])
                lost += bool(found)
                continue
            out.extend({**row, "w": w} for w in (found or ([None] if how == "left" else [])))
            lost += not found and how == "inner"
            expanded += max(0, len(found) - 1)
        return out, {"in": len(rows), "out": len(out), "filtered": lost, "expanded": expanded}

    return model


def model_sort(rows: list[Row]) -> Model:
    out = sorted(rows, key=lambda row: (row["v"] is None, -(row["v"] or 0)))[:5]
    return out, {"in": len(rows), "out": len(out), "filtered": len(rows) - len(out)}


def model_window(rows: list[Row]) -> Model:
    order = sorted(range(len(rows)), key=lambda at: (rows[at]["v"] is None, rows[at]["v"] or 0, at))
    seen: dict[Any, int] = {}
    places = {}
    for at in order:
        seen[rows[at]["g"]] = places[at] = seen.get(rows[at]["g"], 0) + 1
    return [{**row, "p": places[at]} for at, row in enumerate(rows)], {"in": len(rows), "out": len(rows)}


def model_union(rows: list[Row]) -> Model:
    return [*rows, *TWIN], {"in": len(rows), "out": len(rows) + len(TWIN), "expanded": len(TWIN)}


def model_unpivot(rows: list[Row]) -> Model:
    cells = [
        {**{name: value for name, value in row.items() if name not in ("k", "v")}, "name": column, "value": row[column]}
        for row in rows
        for column in ("k", "v")
    ]
    out = [cell for cell in cells if cell["value"] is not None]
    return out, {"in": len(rows), "out": len(out), "expanded": len(rows), "filtered": len(cells) - len(out)}


MODELS: dict[str, Callable[[list[Row]], Model]] = {
    "filter": model_kept("filtered", lambda row: row["v"] is not None and row["v"] > 0),
    "cast": model_cast,
    "derive": model_kept("quarantined", lambda row: row["t"] != "x"),
    "deduplicate": model_deduplicate,
    "unnest": model_unnest,
    "aggregate": model_aggregate,
    "join": model_join("inner"),
    "left": model_join("left"),
    "anti": model_join("anti"),
    "sort": model_sort,
    "window": model_window,
    "union": model_union,
    "unpivot": model_unpivot,
}


def _fits(verb: str, done: list[str]) -> bool:
    """Whether a verb can follow others here: columns it needs are there, none comes twice."""
    if "unpivot" in done:
        return False
    if "aggregate" in done:
        return verb in ("filter", "sort", "window")
    if verb == "union":
        return set(done) <= {"filter", "derive", "deduplicate", "sort", "union"}
    if verb in ("join", "left") and {"join", "left"} & set(done):
        return False
    if verb in ("cast", "derive") and {"cast"} & set(done):
        return False
    return not (verb == "unnest" and "unnest" in done)


@st.composite
def chains(draw: st.DrawFn) -> list[str]:
    done: list[str] = []
    for verb in draw(st.lists(st.sampled_from(sorted(VERBS)), max_size=4)):
        if _fits(verb, done):
            done.append(verb)
    return done


def _without_zeros(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(rows=ROWS, chain=chains(), parts=st.integers(1, 3), all_needed=st.booleans())
def test_random_pipelines_balance_and_agree_with_plain_python(
    pipelines: Bench, rows: list[Row], chain: list[str], parts: int, all_needed: bool
) -> None:
    names = [f"s{index}" for index in range(len(chain))]
    steps = [
        {"name": name, **({"input": "t"} if index == 0 else {}), **VERBS[verb]}
        for index, (name, verb) in enumerate(zip(names, chain, strict=True))
    ]
    last = names[-1] if names else "t"
    with tempfile.TemporaryDirectory() as folder:
        bench = replace(pipelines, folder=Path(folder))
        out = bench.run(
            {"t": pa.Table.from_pylist(rows, SCHEMA), "other": OTHER, "twin": pa.Table.from_pylist(TWIN, SCHEMA)},
            steps,
            about={"t": {"key": ("k",)}},
            needed={"t", *names} if all_needed else {last},
            parts=parts,
        )
    expected, counts = model_source(rows)
    assert out.counts("t") == _without_zeros(counts)
    for name, verb in zip(names, chain, strict=True):
        expected, counts = MODELS[verb](expected)
        assert out.counts(name) == _without_zeros(counts)
    assert out.rows(last) == expected
    for name in ["t", *names]:
        {**out.report.sources, **out.report.steps}[name].check(name)


@pytest.fixture(scope="module")
def pipelines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One bench for all examples; each example takes a folder of its own."""
    make: Callable[[Path], Bench] = request.getfixturevalue("make_bench")
    return make(tmp_path_factory.mktemp("pipelines"))
