"""Mappings turned round: forward and back is the identity, and what is lost is told with its reason."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.golden.bench import Bench, SharedEngine

from data_workbench.transforms.inversion import Inverse, as_lines, invert, types_of
from data_workbench.transforms.spec_values import Mapped

COLUMNS = {"s": pa.int16(), "i": pa.int32(), "l": pa.int64(), "f": pa.float32(), "b": pa.bool_(), "t": pa.string()}
LINES = {
    "s": ["from", "type: bigint", "type: text", "s + 7", "-s", "3 - s", "type: 'decimal(9,2)'"],
    "i": ["from", "type: bigint", "i - 12", "12 + i", "type: text"],
    "l": ["from", "type: text", "-l", "l + 1", "type: 'decimal(20,1)'"],
    "f": ["from", "type: double"],
    "b": ["from", "not b", "type: text"],
    "t": ["from", "t || '!'", "'a' || t", "'<<' || t || '>'", "'\N{THUMBS UP SIGN}' || t"],
}


def line(target: str, column: str, how: str) -> dict[str, Any]:
    if how == "from":
        return {"target": target, "from": column}
    if how.startswith("type: "):
        return {"target": target, "from": column, "type": how.removeprefix("type: ").strip("'")}
    return {"target": target, "expression": how}


def turned(*lines: dict[str, Any], schema: pa.Schema = pa.schema(COLUMNS)) -> Inverse:  # noqa: B008  # immutable
    return invert([Mapped.model_validate(one) for one in lines], types_of(schema))


@st.composite
def mappings(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A line for each column, in any order and under any name."""
    order = draw(st.permutations(list(COLUMNS)))
    names = draw(st.permutations([*COLUMNS, "x", "y"]))
    return [line(name, one, draw(st.sampled_from(LINES[one]))) for one, name in zip(order, names, strict=False)]


def rows() -> st.SearchStrategy[list[dict[str, Any]]]:
    def whole(bits: int) -> st.SearchStrategy[int]:
        return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    made = {
        "s": whole(16),
        "i": whole(32),
        "l": whole(64),
        "f": st.floats(width=32, allow_nan=False),
        "b": st.booleans(),
        "t": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    }
    return st.lists(st.fixed_dictionaries({name: st.none() | one for name, one in made.items()}), max_size=4)


@pytest.fixture(scope="module")
def shared() -> Any:
    engine = SharedEngine()
    yield engine
    engine.database.close()


@pytest.fixture(scope="module")
def turning(shared: SharedEngine, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("turned"), opener=shared)


@given(mapping=mappings(), values=rows())
@settings(max_examples=60)
def test_forward_and_back_is_the_identity(turning: Bench, mapping: list[dict[str, Any]], values: Any) -> None:
    table = pa.Table.from_pylist(values, pa.schema(COLUMNS)).append_column(
        "id", pa.array(range(len(values)), pa.int64())
    )
    forward = [*mapping, {"target": "id", "from": "id"}]
    found = turned(*forward, schema=table.schema)
    assert found.is_whole, found.lost
    back = [one.model_dump(by_alias=True, exclude_defaults=True) for one in found.lines]
    out = turning.run({"rows": table}, [{"name": "there", "map": forward}, {"name": "again", "map": back}])
    assert all(one["node"] == "there" for one in out.quarantine)  # a number that cannot be moved further
    kept = {row["id"] for row in out.rows("again")}
    assert len(kept) == len(values) - len(out.quarantine)
    assert out.rows("again") == [row for row in table.to_pylist() if row["id"] in kept]
    assert out.tables["again"].schema.types == table.schema.types


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        ([{"target": "x", "from": "t", "default": "none"}], {"t": "x: its default takes the place of NULL"}),
        ([{"target": "x", "from": "t", "type": "integer"}], {"t": "x: as integer two values of varchar may be one"}),
        ([{"target": "x", "expression": "lower(t)"}], {"t": "x: lower(t) may give one value for two"}),
        ([{"target": "x", "expression": "s * 2"}], {"s": "x: s * 2 may give one value for two"}),
        ([{"target": "x", "expression": "t || t"}], {"t": "x: t || t may give one value for two"}),
        ([{"target": "x", "expression": "s + i"}], {"s": "no line takes it alone", "i": "no line takes it alone"}),
        ([{"target": "x", "from": "s", "type": "text", "on_failure": None}], {"s": "x: a value that cannot be made"}),
        ([{"target": "x", "expression": "i + 1", "type": "bigint"}], {"i": "x: its value has another type"}),
    ],
)
def test_what_cannot_be_given_back_is_told(lines: list[dict[str, Any]], lost: dict[str, str]) -> None:
    found = turned(*lines)
    assert not found.is_whole
    for name, reason in lost.items():
        assert found.lost[name].startswith(reason)


def test_another_line_may_give_a_column_back() -> None:
    found = turned(
        {"target": "x", "expression": "lower(t)"}, {"target": "z", "from": "t"}, schema=pa.schema({"t": pa.string()})
    )
    assert found.is_whole
    assert list(as_lines(found)) == ["map:", "  - {target: t, from: z}"]


def test_the_lines_can_be_pasted() -> None:
    found = turned({"target": "on", "expression": "i + 1"}, schema=pa.schema({"i": pa.int32(), "t": pa.string()}))
    assert list(as_lines(found)) == [
        "map:",
        '  - {target: i, expression: "\\"on\\" - 1", type: "integer"}',
        "  # - {target: t}  # no line takes it alone",
    ]


def test_what_is_lost_of_an_expression_over_several_lines_stays_a_comment() -> None:
    line = Mapped.model_validate({"target": "x", "expression": "upper(\n  name)"})
    found = invert([line], {"name": "VARCHAR"})
    assert found.lost == {"name": "x: upper(\n  name) may give one value for two"}
    assert list(as_lines(found))[1:] == ["  # - {target: name}  # x: upper( name) may give one value for two"]
