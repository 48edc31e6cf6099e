"""Contracts over files: one scan for all checks of single rows, and bad input that is told and never passed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import duckdb
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from data_workbench import settings
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.errors import DefinitionError, StoreUnavailable
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts
from data_workbench.quality.standalone import Reader, over_rows
from data_workbench.records.types import with_native

if TYPE_CHECKING:
    from collections.abc import Callable

Held = dict[str, dict[str, Any]]


@pytest.fixture
def held(tmp_path: Path) -> Callable[..., Held]:
    """Holds rows, written to a file, against the body of a contract: results by name."""

    def hold(rows: pa.Table | None, body: str, name: str = "rows.parquet") -> Held:
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        if rows is not None:
            write = csv.write_csv if name.endswith(".csv") else parquet.write_table
            write(rows, folder / name)
        text = f"version: 1\ncontract: tried\nconnection: file://{folder}\nstream: {name}\n{body}"
        known = Connections(from_environment)
        with open_source(known.get(f"file://{folder}"), settings.load()) as source:
            reader = Reader(lambda _: source, lambda _: (), settings.load(), tmp_path / "work")
            found = parse_contract(text).evaluation.run(reader)
        (tmp_path / "work" / "contract.duckdb").unlink(missing_ok=True)
        return {one["name"]: one for one in found}

    return hold


MANY = """
columns:
  id: {required: true, unique: true, min: 0}
  name: {required: true, min_length: 2, pattern: "^n"}
  state: {values: [open, done]}
  price: {min: 0, max: 50}
unique: [[name]]
checks:
  - {name: cheap, condition: "price < 90"}
  - {name: open ones, condition: "state <> 'done' OR price > 1", severity: warn}
"""


def test_all_checks_of_single_rows_are_counted_in_one_scan(
    held: Callable[..., Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = ["open", "done", "lost", None]
    rows = pa.table(
        {
            "id": list(range(-2, 98)),
            "name": [None if n == 9 else "x" if n % 30 == 0 else f"n{n // 2}" for n in range(100)],
            "state": [states[n % 4] for n in range(100)],
            "price": [float(n) for n in range(100)],
        }
    )
    said: list[str] = []
    opened = duckdb.connect

    class Hearing:
        """A connection that remembers what it was asked."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def execute(self, statement: str, *rest: Any) -> Any:
            said.append(statement)
            return self._inner.execute(statement, *rest)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def __enter__(self) -> Hearing:
            return self

        def __exit__(self, *_: object) -> None:
            self._inner.close()

    with monkeypatch.context() as patch:
        patch.setattr(duckdb, "connect", lambda *given, **options: Hearing(opened(*given, **options)))
        together = held(rows, MANY)
    scans = [one for one in said if "FILTER" in one]
    assert len(scans) == 1
    assert scans[0].count("FILTER") == 10, "all but uniqueness, which no row tells alone"
    assert sum("SELECT count(*) FROM (" in one for one in said) == 2

    monkeypatch.setattr(over_rows.OverRows, "_scan", lambda *_: None)
    alone = held(rows, MANY)
    assert together == alone
    assert {name: one["failing"] for name, one in together.items() if one["failing"]} == {
        "min id": 2,
        "required name": 1,
        "min_length name": 4,
        "pattern name": 4,
        "values state": 25,
        "max price": 49,
        "unique name": sum(v is not None for v in rows["name"].to_pylist()) - _single(rows["name"].to_pylist()),
        "cheap": 10,
        "open ones": 1,
    }


def _single(values: list[Any]) -> int:
    return sum(values.count(one) == 1 for one in set(values) - {None})


def test_a_check_that_cannot_be_computed_is_not_evaluated_and_takes_none_with_it(held: Callable[..., Held]) -> None:
    rows = pa.table({"text": ["1", "two", "3"], "n": [1, 2, 3]})
    body = (
        'columns: {n: {max: 2}}\nchecks:\n  - {name: number, condition: "CAST(text AS INTEGER) > 0"}\n'
        '  - {name: small, condition: "n < 3"}\n  - {name: nowhere, condition: "gone > 1"}\n'
    )
    found = held(rows, body)
    assert {name: (one["outcome"], one["failing"]) for name, one in found.items()} == {
        "max n": ("failed", 1),
        "number": ("not_evaluated", None),
        "small": ("failed", 1),
        "nowhere": ("not_evaluated", None),
    }
    assert "two" in found["number"]["reason"] or "Conversion" in found["number"]["reason"]


def test_a_missing_dataset_or_column_is_never_passed(held: Callable[..., Held]) -> None:
    body = "columns: {gone: {required: true}, id: {required: true}}\nunique: [[id, gone]]\nrows: {min: 1}\n"
    found = held(pa.table({"id": [1]}), body)
    assert found["column gone"]["outcome"] == "failed"
    assert found["required id"]["outcome"] == "passed"
    assert "unique id, gone" not in found
    nothing = held(None, body, name="nothing.parquet")
    assert {one["outcome"] for one in nothing.values()} == {"not_evaluated"}
    assert all("nothing.parquet" in one["reason"] for one in nothing.values())


EVERYTHING = """
columns: {id: {required: true, unique: true, min: 1}, name: {min_length: 1, pattern: "^n", values: [n1, n2]}}
unique: [[id, name]]
rows: {min: 1}
freshness: {column: seen, within: 1d}
checks:
  - {name: equal, condition: "id = id"}
  - {distribution: {column: name, shares: {n1: 1.0}, within: 0.5}}
"""
SHAPE = pa.schema([("id", pa.int64()), ("name", pa.string()), ("seen", pa.timestamp("us", tz="UTC"))])


def test_empty_rows_one_row_and_columns_of_nothing_but_null(held: Callable[..., Held]) -> None:
    from datetime import UTC, datetime

    empty = held(SHAPE.empty_table(), EVERYTHING)
    assert {name for name, one in empty.items() if one["outcome"] == "failed"} == {"rows", "freshness"}
    one = held(pa.Table.from_pylist([{"id": 1, "name": "n1", "seen": datetime.now(UTC)}], SHAPE), EVERYTHING)
    assert {told["outcome"] for told in one.values()} == {"passed"}, one
    nulls = held(pa.Table.from_pylist([{"id": None}] * 20, SHAPE), EVERYTHING)
    assert {name: told["failing"] for name, told in nulls.items() if told["failing"]} == {
        "required id": 20,
        "freshness": 1,
    }


def test_an_expression_that_would_explode_elsewhere_is_linear(held: Callable[..., Held]) -> None:
    rows = pa.table({"text": ["a" * 20_000 + "!", "a" * 20_000]})
    found = held(rows, 'columns: {text: {pattern: "^(a+)+$"}}\n')
    assert found["pattern text"]["failing"] == 1
    broken = held(rows, 'columns: {text: {pattern: "(?=a)"}}\n')
    assert {one["outcome"] for one in broken.values()} == {"not_evaluated"}
    assert "RE2" in str(broken) or "regular expression" in str(broken)


def test_markup_and_long_values_of_failing_rows_are_cut_and_kept_as_text(held: Callable[..., Held]) -> None:
    rows = pa.table({"id": [1], "text": ["<script>alert(1)</script>" + "x" * 5_000]})
    [broken] = held(rows, "columns: {text: {max_length: 10}}\n")["max_length text"]["sample"]
    assert broken["text"].startswith("<script>")
    assert len(broken["text"]) == 201


@pytest.mark.slow
def test_ten_thousand_checks_are_all_answered(held: Callable[..., Held]) -> None:
    rows = pa.table({"id": list(range(100))})
    for part in range(10):
        body = "checks:\n" + "".join(f"  - {{name: c{n}, condition: 'id > {n - 990}'}}\n" for n in range(1000))
        found = held(rows, body)
        assert len(found) == 1000, part
        assert [found[f"c{n}"]["failing"] for n in (0, 989, 990, 999)] == [0, 0, 1, 10]


def test_a_finder_of_a_file_is_pasted_into_duckdb_where_the_file_lies(
    held: Callable[..., Held], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [None if n == 9 else "x" if n % 30 == 0 else f"n{n}" for n in range(100)]
    rows = pa.table({"id": list(range(100)), "name": names})
    body = 'columns: {id: {unique: true, max: 90}, name: {required: true, pattern: "^n"}}\nwhere: "id < 95"\n'
    broken = [one for one in held(rows, body).values() if one["failing"]]
    assert len(broken) == 3
    monkeypatch.chdir(tmp_path / "files")
    for one in broken:
        assert len(duckdb.sql(one["finder"]).fetchall()) == one["failing"], one["finder"]


def test_what_another_contract_classifies_is_masked_here_and_in_what_stands_beside(tmp_path: Path) -> None:
    files, contracts = tmp_path / "files", tmp_path / "contracts"
    files.mkdir()
    contracts.mkdir()
    parquet.write_table(pa.table({"id": [1, 2], "code": ["x-geheim", None]}), files / "rows.parquet")
    parquet.write_table(pa.table({"id": [1], "code": ["y-geheim"]}), files / "copy.parquet")
    head = f"version: 1\nconnection: file://{files}\n"
    for name in ("rows", "copy"):
        secret = "columns: {code: {classification: controlled}}\n"
        (contracts / f"{name}_secrets.yaml").write_text(
            f"{head}contract: {name}_secrets\nstream: {name}.parquet\n{secret}"
        )
    other = f"{{connection: 'file://{files}', stream: copy.parquet, on: {{id: id}}"
    open_one = parse_contract(
        f"{head}contract: open_one\nstream: rows.parquet\n"
        f"checks: [{{name: same, agrees: {other}, columns: {{code: code}}}}}},"
        " {name: of y, condition: \"code LIKE 'y%'\"}]\n"
    )
    known = replace(settings.load(), contracts=contracts, home=tmp_path / "home", pipelines=tmp_path / "none")
    found = Contracts(known, Connections(from_environment), None).check([open_one])
    assert [one["outcome"] for one in found] == ["failed", "failed"]
    assert found[0]["sample"][0]["code"] == "•••"
    assert "geheim" not in str(found)

    reasons = parse_contract(
        f"{head}contract: reasons\nstream: rows.parquet\nfreshness: {{column: code, within: 1d}}\n"
        f"checks: [{{name: number, condition: 'CAST(code AS INTEGER) > 0'}}, {{name: gone, condition: 'nothing > 0'}}, "
        f"{{name: others, references: {other}, where: 'CAST(code AS INTEGER) > 0'}}}}]\n"
    )
    untold = Contracts(known, Connections(from_environment), None).check([reasons])
    assert {one["outcome"] for one in untold} == {"not_evaluated"}
    assert "geheim" not in str(untold), "an error of the engine's names the value"
    assert "nothing" in untold[2]["reason"], "a column is no value"

    (contracts / "broken.yaml").write_text("contract: [classification")
    with pytest.raises(DefinitionError):
        Contracts(known, Connections(from_environment), None).check([open_one])


@pytest.mark.parametrize("values", [[], [None, None]])
def test_no_values_are_spread_in_no_way_and_a_column_that_is_gone_is_named(
    held: Callable[..., Held], values: list[str | None]
) -> None:
    rows = pa.table({"state": pa.array(values, pa.string()), "n": pa.array(values, pa.int32())})
    body = 'columns: {gone: {required: true}}\nchecks: [{distribution: {column: state, shares: {"open": 1}}}]\n'
    found = held(rows, body)
    assert found["distribution state"]["outcome"] == "passed"
    assert (found["column gone"]["outcome"], found["column gone"]["failing"]) == ("failed", None)
    assert found["column gone"]["reason"].endswith("has no column 'gone'")


def test_a_newest_row_is_told_of_texts_that_say_moments_and_of_nothing_else(held: Callable[..., Held]) -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC).isoformat()
    body = "freshness: {column: seen, within: 1d}\nrows: {min: 1}\n"
    texts = held(pa.table({"seen": ["2020-01-01", None, now]}), body)
    assert {name: one["outcome"] for name, one in texts.items()} == {"rows": "passed", "freshness": "passed"}
    old = held(pa.table({"seen": ["2020-01-01T10:00:00Z", "2019-01-01"]}), body)["freshness"]
    assert (old["outcome"], old["sample"][0]["newest"][:16]) == ("failed", "2020-01-01 10:00")
    for values, reason in ((["soon", now], "1 values of 'seen' are texts"), ([1, 2], "int64"), ([[now]] * 2, "list")):
        found = held(pa.table({"seen": values}), body)
        assert found["rows"]["outcome"] == "passed", "one check that cannot be told takes none with it"
        assert found["freshness"]["outcome"] == "not_evaluated"
        assert reason in found["freshness"]["reason"]


@pytest.mark.parametrize(
    "body",
    [
        "columns: {name: {required: true}, Name: {required: true}}",
        "checks: [{name: equal, condition: 'name = Name'}]",
        "derive: {Name: 'upper(name)'}\ncolumns: {name: {required: true}, Name: {values: [A]}}",
        "derive: {name: 'coalesce(name, 1)'}\ncolumns: {name: {required: true}}",
    ],
)
def test_columns_that_differ_in_case_only_are_never_taken_for_each_other(held: Callable[..., Held], body: str) -> None:
    rows = pa.table({"Name": ["a", "b"], "name": [None, "b"]})
    found = held(rows, body)
    assert {one["outcome"] for one in found.values()} == {"not_evaluated"}, found
    assert all("ame'" in one["reason"] for one in found.values())
    alone = held(rows, "columns: {name: {required: true}}")
    assert alone["required name"]["failing"] == 1


def test_vectors_with_a_null_inside_are_found_and_great_numbers_are_numbers(held: Callable[..., Held]) -> None:
    vectors = [[1.0, None], [1e30, 0.0], [float("nan"), 1.0], [1.0, 2.0], None]
    rows = pa.table({"id": [1, 2, 3, 4, 5], "vector": pa.array(vectors, pa.list_(pa.float32()))})
    found = held(rows, "columns: {id: {min: 0}}\nchecks: [{vectors: {dimension: 2, distinct: true}}]\n")
    broken = found["vectors vector"]
    assert (broken["outcome"], [row["id"] for row in broken["sample"]]) == ("failed", [1, 3])


NUMBERS = """
derive: {rest: "whole - part"}
where: "whole < 1000"
columns: {rest: {min: 0}, whole: {max: 20, pattern: "^[0-9]"}}
checks:
  - {name: part of it, condition: "part <= whole"}
  - {name: a quarter, condition: "part * 4 >= whole"}
soda:
  columns:
    - {name: part, checks: [{invalid: {valid_max: 10}}, {aggregate: {function: sum, threshold: {must_be: 20.4}}}]}
  checks: [{failed_rows: {name: greater, expression: "part > whole"}}]
"""


def test_numbers_of_any_length_are_numbers_where_sql_computes(held: Callable[..., Held]) -> None:
    """As texts, 9 would be greater than 10."""
    kinds = [with_native(pa.field(name, pa.string()), "numeric") for name in ("whole", "part")]
    rows = pa.table([["10", "10.50", "100000"], ["9", "11.4", "2"]], pa.schema(kinds))
    found = held(rows, NUMBERS)
    assert {name: (one["outcome"], one["failing"]) for name, one in found.items()} == {
        "pattern whole": ("passed", 0),
        "max whole": ("passed", 0),
        "min rest": ("failed", 1),
        "part of it": ("failed", 1),
        "a quarter": ("passed", 0),
        "soda invalid part": ("failed", 1),
        "soda aggregate part": ("passed", 0),
        "greater": ("failed", 1),
    }
    assert found["part of it"]["sample"][0]["part"] == "11.4"


def test_numbers_that_are_no_decimals_are_numbers_all_the_same(held: Callable[..., Held]) -> None:
    field = with_native(pa.field("v", pa.string()), "numeric")
    rows = pa.table([["9", "NaN", None, "0." + "0" * 30 + "1"]], pa.schema([field]))
    found = held(rows, 'checks: [{name: small, condition: "v < 10"}]')
    assert (found["small"]["failing"], found["small"]["sample"]) == (1, [{"v": "NaN"}])


def test_a_store_that_keeps_silent_is_not_waited_for_again_with_each_check(tmp_path: Path) -> None:
    asked: list[str] = []

    def silent(connection: str) -> NoReturn:
        asked.append(connection)
        raise StoreUnavailable(f"{connection} does not answer")

    text = (
        "version: 1\ncontract: silent\nconnection: graph\nstream: Person\ncolumns: {name: {required: true}}\n"
        "checks: [{connected: true}, {labels: [Person]}, {acyclic: {types: [KNOWS]}}]\n"
    )
    reader = Reader(silent, lambda _: (), settings.load(), tmp_path)
    found = parse_contract(text).evaluation.run(reader)
    assert [(one["outcome"], one["reason"]) for one in found] == [("not_evaluated", "graph does not answer")] * 4
    assert len(asked) == 2, "whether it counts for itself, and for its rows"


def test_a_column_that_is_not_there_leaves_the_check_of_two_datasets_untold(
    held: Callable[..., Held], tmp_path: Path
) -> None:
    rows = pa.table({"id": [1, 2]})
    to_itself = f"connection: 'file://{tmp_path}/files', stream: rows.parquet"
    found = held(
        rows,
        f"columns: {{id: {{min: 1}}}}\nchecks: [{{name: here, references: {{{to_itself}, on: {{gone: id}}}}}}, "
        f"{{name: there, references: {{{to_itself}, on: {{id: gone}}}}}}, "
        f"{{name: sound, references: {{{to_itself}, on: {{id: id}}}}}}]",
    )
    assert {name: one["outcome"] for name, one in found.items()} == {
        "min id": "passed", "here": "not_evaluated", "there": "not_evaluated", "sound": "passed",
    }  # fmt: skip
    assert "'gone'" in found["here"]["reason"]


def test_a_promise_that_does_not_fit_its_column_takes_no_other_with_it(held: Callable[..., Held]) -> None:
    rows = pa.table({"id": [1, 2], "on": [True, False], "text": ["a", "b"]})
    body = (
        "columns:\n  on: {min: 5, required: true}\n  id: {max: 1, unique: true}\n"
        "  text: {pattern: '(a{1000}){1000}'}\nunique: [[id], [id, text]]\n"
    )
    found = held(rows, body)
    assert {name: (one["outcome"], one["failing"]) for name, one in found.items()} == {
        "required on": ("not_evaluated", None),
        "min on": ("not_evaluated", None),
        "pattern text": ("not_evaluated", None),
        "max id": ("failed", 1),
        "unique id": ("passed", 0),
        "unique id, text": ("passed", 0),
    }
