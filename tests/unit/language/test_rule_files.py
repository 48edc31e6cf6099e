"""Sets of rules in files: read with the pipeline, part of its hash, and no pipelines themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import load_definition
from data_workbench.pipelines.checks import lint_paths

PIPELINE = """version: 1
pipeline: p
sources:
  rows: {connection: c, stream: s, columns: [id, price], key: [id]}
steps:
  - {name: sized, rules: {file: shared/size.rules.yaml, version: 2, rule: which}}
destinations:
  out: {connection: d, table: t, write: append}
"""
RULES = "version: 2\nrules:\n  - {name: big, when: price > 10, then: {size: \"'big'\"}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    (tmp_path / "p.yaml").write_text(PIPELINE)
    (tmp_path / "shared" / "size.rules.yaml").write_text(RULES)
    return tmp_path


def test_the_rules_are_read_with_the_pipeline(folder: Path) -> None:
    findings, (definition,) = lint_paths([folder])
    assert findings == []
    rules = definition.spec.steps[0].rules
    assert rules is not None
    assert rules.set_ is not None
    assert rules.set_.columns == ["size"]


def test_a_change_of_the_rules_is_a_change_of_the_pipeline(folder: Path) -> None:
    before = load_definition(folder / "p.yaml").hash
    (folder / "shared" / "size.rules.yaml").write_text(RULES.replace("10", "20"))
    assert load_definition(folder / "p.yaml").hash != before


def test_another_version_is_refused_at_its_place(folder: Path) -> None:
    (folder / "shared" / "size.rules.yaml").write_text(RULES.replace("version: 2", "version: 3"))
    with pytest.raises(DefinitionError) as caught:
        load_definition(folder / "p.yaml")
    (finding,) = caught.value.findings
    assert (finding.line, finding.message) == (6, "shared/size.rules.yaml has version 3, not 2")


def test_a_mistake_in_the_rules_is_told_with_their_file(folder: Path) -> None:
    file = folder / "shared" / "size.rules.yaml"
    file.write_text("version: 2\nrules:\n  - {name: big, wen: price > 10, then: {size: x}}\n")
    findings, _ = lint_paths([folder / "p.yaml"])
    assert {one.file for one in findings} == {str(file.resolve())}
    assert any("wen" in one.message for one in findings)
    assert findings == lint_paths([file.resolve()])[0]


def test_an_unknown_column_in_the_rules_is_told_at_the_step(folder: Path) -> None:
    (folder / "shared" / "size.rules.yaml").write_text(RULES.replace("price", "prise"))
    findings, _ = lint_paths([folder / "p.yaml"])
    assert [(one.line, one.message) for one in findings] == [(6, "rule big: when: unknown column 'prise'")]


def test_a_link_that_leads_out_of_the_folder_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "x.rules.yaml"
    outside.write_text(RULES)
    link = folder / "shared" / "size.rules.yaml"
    link.unlink()
    link.symlink_to(outside)
    with pytest.raises(DefinitionError, match="leads out of the pipeline's folder"):
        load_definition(folder / "p.yaml")
