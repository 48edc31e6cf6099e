"""What only several files show: cycles of datasets, two keys for one dataset, and a project file beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data_workbench.pipelines.checks import lint_paths
from data_workbench.settings import Settings

PIPELINE = """\
version: 1
pipeline: {name}
schedule: {schedule}
sources: {{rows: {{connection: pg, stream: public.in_{name}, columns: [id, code], key: [id]}}}}
destinations: {{out: {{connection: pg, {out}}}}}
"""


def found(folder: Path, *, project: str | None = None, **pipelines: tuple[str, str]) -> list[str]:
    """Findings of a folder with these pipelines: by name the schedule and the destination."""
    for name, (schedule, out) in pipelines.items():
        text = PIPELINE.format(name=name, schedule=schedule, out=out)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    file = folder / "workbench.yaml"
    if project is not None:
        file.write_text(project, encoding="utf-8")
    findings, _ = lint_paths([folder], settings=Settings(project=file))
    return [re.sub(rf"{re.escape(str(folder))}/", "", str(one)) for one in findings]


def table(name: str, *, key: str = "id", write: str = "merge") -> str:
    return f"table: {name}, key: {key}, write: {write}"


def test_pipelines_that_start_each_other_are_told_in_each_file(tmp_path: Path) -> None:
    told = found(
        tmp_path,
        a=("{dataset: 'pg:public.c'}", table("public.a")),
        b=("{dataset: ['pg:other', 'pg:a']}", table("b")),
        c=("{dataset: 'pg:b'}", table("public.c")),
        clock=("'@daily'", table("other")),
    )
    assert [one.split(": ")[0] for one in told] == ["a.yaml:3:21", "b.yaml:3:34", "c.yaml:3:21"]
    assert "cycle: a -> b -> c -> a: every run starts the next one, without end" in told[0]
    assert "pg:public.c is written by c" in told[0]
    assert "cycle: b -> c -> a -> b" in told[1]


def test_a_pipeline_that_waits_for_itself_is_a_cycle(tmp_path: Path) -> None:
    [told] = found(tmp_path, a=("{dataset: 'pg:a'}", table("a")))
    assert "cycle: a -> a" in told


def test_a_pipeline_whose_files_start_it_again_is_a_cycle(tmp_path: Path) -> None:
    [told] = found(tmp_path, a=("{file: 'drops/*.csv', connection: pg}", "file: drops/out.csv"))
    assert told.startswith("a.yaml:3:18: cycle: a -> a")


@pytest.mark.parametrize("schedule", ["{dataset: 'pg:b'}", "{dataset: ['pg:b', 'pg:nobody']}", "{dataset: 'graph:a'}"])
def test_one_after_the_other_is_no_cycle(tmp_path: Path, schedule: str) -> None:
    assert found(tmp_path, a=(schedule, table("a")), b=("'@daily'", table("b"))) == []


def test_two_pipelines_that_write_one_table_by_different_keys_are_told_in_both_files(tmp_path: Path) -> None:
    told = found(tmp_path, a=("null", table("public.t")), b=("null", table("t", key="[id, code]")))
    assert [one.split(": ")[0] for one in told] == ["a.yaml:5:60", "b.yaml:5:48"]
    assert "pg:t is written by key id here, by id, code in b (" in told[0]


def test_two_pipelines_may_write_one_table_by_the_same_key(tmp_path: Path) -> None:
    told = found(tmp_path, a=("null", table("t", key="[code, id]")), b=("null", table("t", key="[id, code]")))
    assert told == []


def test_a_label_with_two_keys_is_told(tmp_path: Path) -> None:
    told = found(
        tmp_path,
        a=("null", "nodes: [{label: L, key: id}]"),
        b=("null", "nodes: [{label: K, key: id}, {label: L, key: code}]"),
    )
    assert [one.split(": ")[0] for one in told] == ["a.yaml:5:62", "b.yaml:5:83"]


@pytest.mark.parametrize("write", ["merge", "append", "replace"])
def test_a_replace_of_what_another_writes_is_told(tmp_path: Path, write: str) -> None:
    told = found(tmp_path, a=("null", table("t", write="replace")), b=("null", table("t", write=write)))
    assert len(told) == (2 if write == "replace" else 1)
    assert "pg:t is replaced here, and written by b (" in told[0]


def test_a_day_that_never_comes_is_told(tmp_path: Path) -> None:
    [told] = found(tmp_path, a=("'0 0 30 2 *'", table("a")))
    assert told.startswith("a.yaml:3:11: '0 0 30 2 *' never comes")
    assert found(tmp_path, a=("'0 0 29 2 *'", table("a"))) == []


def test_a_project_file_in_a_folder_is_checked_from_wherever_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    text = "version: 1\nenvironments: {dev: {connections: {pg: {host: x}}}}\n"
    (tmp_path / "site" / "workbench.yaml").write_text(text, encoding="utf-8")
    findings, definitions = lint_paths([tmp_path / "site"], settings=Settings(project=tmp_path / "workbench.yaml"))
    assert [(one.line, one.column) for one in findings] == [(2, 36)]
    assert "'pg', which is not there" in findings[0].message
    assert definitions == []


def test_an_environment_that_changes_a_connection_nobody_has_is_told_beside_the_pipelines(tmp_path: Path) -> None:
    environments = "{dev: {connections: {pgg: {host: x}, own: {type: duckdb}}}}"
    project = f"version: 1\nconnections: {{pg: {{host: h}}}}\nenvironments: {environments}\n"
    [told] = found(tmp_path, project=project, a=("null", table("a")))
    assert told.startswith("workbench.yaml:3:36: environment dev changes connection 'pgg', which is not there")
    assert "did you mean pg?" in told
