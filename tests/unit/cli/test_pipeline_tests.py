"""`workbench test` needs no server, and answers like every command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Workbench

TESTS = """\
version: 1
tests:
  - name: a row is copied
    given: {rows: [{id: 1, name: one}]}
    expect: {rows: {out: [{id: 1, name: one}]}}
  - name: rows below the least are not
    params: {least: 2}
    given: {rows: [{id: 1, name: one}, {id: 2, name: two}]}
    expect: {rows: {out: [{id: 2, name: TWO}]}}
"""


def _write(text: str = TESTS) -> str:
    path = Path("dags/pipelines/copy.test.yaml")
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_failed_test_is_told_with_file_and_line_and_ends_in_1(workbench: Workbench) -> None:
    path = _write()
    told = workbench("test", "copy")
    assert told.code == 1
    assert told.out.splitlines() == [
        "passed  copy: a row is copied",
        "FAILED  copy: rows below the least are not",
        f'  {Path(path).absolute()}:9:41: out: name is "two", not "TWO" (row {{id: 2}})',
        "2 tests, 1 failed",
    ]


def test_the_document_has_every_test_and_its_differences(workbench: Workbench) -> None:
    path = _write()
    told = workbench("test", "dags", "--json")
    assert told.code == 1
    assert (told.document["passed"], told.document["failed"]) == (1, 1)
    good, bad = told.document["tests"]
    assert (good["name"], good["outcome"], good["differences"]) == ("a row is copied", "passed", [])
    assert (bad["file"], bad["line"], bad["pipeline"], bad["outcome"]) == (path, 6, "copy", "failed")
    assert [(one["line"], one["column"]) for one in bad["differences"]] == [(9, 41)]


def test_tests_that_pass_end_in_0_and_may_be_chosen(workbench: Workbench) -> None:
    told = workbench("test", _write(), "--only", "copied")
    assert (told.code, told.out.splitlines()[-1]) == (0, "1 test, none failed")


def test_a_broken_file_ends_in_2_by_test_and_by_lint(workbench: Workbench) -> None:
    path = _write(TESTS.replace("rows: [{id: 1, name: one}]}\n", "rowz: []}\n", 1))
    for verb in ("test", "lint"):
        told = workbench(verb, path)
        assert told.code == 2
        assert told.err.splitlines() == [f"{path}:4:13: no source is named 'rowz' (did you mean rows?)"]
    assert workbench("test", path, "--json").document["findings"][0]["line"] == 4


def test_a_test_file_is_no_pipeline(workbench: Workbench) -> None:
    _write()
    assert workbench("lint", "dags").out == "1 pipeline without mistakes\n"
    told = workbench("plan", "no_such")
    assert "copy.test" not in told.err


def test_a_pipeline_without_tests_says_where_to_write_them(workbench: Workbench) -> None:
    told = workbench("test", "copy")
    assert (told.code, "copy.test.yaml" in told.err) == (2, True)
