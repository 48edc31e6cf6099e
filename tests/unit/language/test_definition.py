"""Loading pipeline files: places, content hash, speed, and nothing heavy on the way."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import load_definition, parse_definition
from data_workbench.pipelines.checks import lint

EXAMPLE = Path(__file__).parents[2] / "fixtures" / "pipelines" / "requirements_example.yaml"
TEXT = EXAMPLE.read_text(encoding="utf-8")


def test_the_example_of_the_language_loads_and_is_clean() -> None:
    definition = load_definition(EXAMPLE)
    assert definition.spec.pipeline == "requirements"
    assert definition.spec.sources["requirements"].cursor is not None
    assert definition.spec.sources["requirements"].cursor.lag == timedelta(minutes=5)
    assert lint(definition) == []


def test_places_are_those_of_the_file() -> None:
    definition = load_definition(EXAMPLE)
    lines = TEXT.split("\n")
    line, column = definition.locate("sources", "requirements", "where")
    assert lines[line - 1][column - 1 :].startswith('"$project_id is null')
    line, column = definition.locate("destinations", "graph", "nodes", 1, "label")
    assert lines[line - 1][column - 1 :].startswith("Constraint")
    line, column = definition.locate("destinations", "vectors")
    assert lines[line - 1][column - 1 :].startswith("vectors:")
    assert definition.locate("destinations", "vectors", "absent") == (line, column)


def test_comments_and_order_do_not_change_the_hash_but_values_do() -> None:
    plain = (
        "version: 1\npipeline: p\nsources: {rows: {connection: c, stream: rows}}\n"
        "destinations: {out: {connection: p, table: t, key: id}}\n"
    )
    other = (
        "# said first\npipeline: p\nversion: 1\ndestinations:\n  out:\n    key: [id]\n    table: t\n"
        "    connection: p\n    write: merge\nsources: {rows: {stream: rows, connection: c}}\n"
    )
    assert parse_definition(plain).hash == parse_definition(other).hash
    assert parse_definition(plain).hash != parse_definition(plain.replace("table: t", "table: u")).hash


@pytest.mark.parametrize(
    ("written", "value"),
    [("on", "on"), ("yes", "yes"), ("2020-01-01", "2020-01-01"), ("012", 12), ("0o14", 12), ("1:30", "1:30")],
)
def test_scalars_are_those_of_yaml_1_2(written: str, value: object) -> None:
    text = (
        f"version: 1\npipeline: p\nsources: {{rows: {{connection: c, stream: s, options: {{x: {written}}}}}}}\n"
        "destinations: {out: {connection: p, table: t, key: id}}\n"
    )
    assert parse_definition(text).spec.sources["rows"].options["x"] == value


def test_an_alias_repeats_a_value() -> None:
    text = (
        "version: 1\npipeline: p\nsources:\n  a: &a {connection: c, stream: s}\n  b: *a\n"
        "destinations: {out: {connection: p, input: b, table: t, key: id}}\n"
    )
    definition = parse_definition(text)
    assert definition.spec.sources["b"] == definition.spec.sources["a"]
    assert lint(definition) == []


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert load_definition(path).spec.pipeline == "requirements"


def test_a_file_without_a_key_is_replaced() -> None:
    text = (
        "version: 1\npipeline: p\nsources: {rows: {connection: c, stream: s}}\n"
        "destinations: {a: {connection: f, file: x.csv}, b: {connection: f, file: y.csv, key: id}}\n"
    )
    spec = parse_definition(text).spec
    assert (spec.destinations["a"].write, spec.destinations["b"].write) == ("replace", "merge")


def test_fifty_files_load_in_less_than_two_seconds(tmp_path: Path) -> None:
    for number in range(50):
        text = TEXT.replace("pipeline: requirements", f"pipeline: requirements_{number}")
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    began = time.process_time()
    names = {load_definition(path).spec.pipeline for path in tmp_path.glob("*.yaml")}
    assert len(names) == 50
    assert time.process_time() - began < 2


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from data_workbench.language.definition import load_definition; "
        f"load_definition({str(EXAMPLE)!r}); "
        "print([m for m in ('duckdb', 'pyarrow', 'sqlglot', 'numpy', 'airflow', 'croniter') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_PIECES = ["{", "}", "[", "]", ":", "-", "'", '"', "\t", "\n", "&a", "*a", "!!x", "|", ">", "#", "%", "@", "?", "~"]
_PIECES += [
    "\x00",
    "\ufeff",
    "🙂",
    "null",
    "1e999",
    ".nan",
    "0x",
    "<<: ",
    "---",
    "...",
    "$",
    ";",
    "\\",
    "(" * 50,
    "\u202e",
]


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """The good example with a few cuts, copies and insertions."""
    text = TEXT
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["cut", "copy", "insert", "letter", "line"]))
        if kind == "cut":
            text = text[:start] + text[end:]
        elif kind == "copy":
            text = text[:end] + text[start:end] + text[end:]
        elif kind == "insert":
            text = text[:start] + draw(st.sampled_from(_PIECES)) + text[start:]
        elif kind == "letter":
            text = text[:start] + draw(st.text(max_size=3)) + text[end:]
        else:
            lines = text.split("\n")
            lines.insert(draw(st.integers(0, len(lines))), lines.pop(draw(st.integers(0, len(lines) - 1))))
            text = "\n".join(lines)
    return text


@pytest.fixture(scope="module")
def warm() -> None:
    """What lint imports on first use is not part of the time a file takes."""
    lint(load_definition(EXAMPLE.parents[1] / "good_pipelines" / "contract_kinds.yaml"))


@pytest.mark.slow
@pytest.mark.usefixtures("warm")
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutations())
def test_a_damaged_file_ends_in_findings_and_in_time(text: str) -> None:
    began = time.process_time()
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 1
    try:
        findings = lint(parse_definition(text))
    except DefinitionError as error:
        findings = error.findings
        assert findings
    assert time.process_time() - began < 1
    assert all(1 <= one.line <= lines + 1 and one.column >= 1 and one.message for one in findings)
