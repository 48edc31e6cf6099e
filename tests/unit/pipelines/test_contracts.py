"""Contract files: mistakes with their places, and the shipped ones without any."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_workbench.errors import DefinitionError
from data_workbench.pipelines.checks import lint_paths
from data_workbench.pipelines.contract_files import contract_files, load_contract, parse_contract
from data_workbench.settings import Settings

SHIPPED = Path(__file__).resolve().parents[3] / "dags" / "contracts"
HEAD = "version: 1\ncontract: c\nconnection: pg\nstream: rows\n"


def test_the_shipped_contracts_are_sound_and_named_as_their_files() -> None:
    files = contract_files(Settings(contracts=SHIPPED))
    assert len(files) >= 10
    for file in files:
        one = load_contract(file, Settings()).contract
        assert (one.contract, bool(one.owner)) == (file.stem, True)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ('checks:\n  - {condition: "a <"}\n', "6:", "condition"),
        ("checks:\n  - {condition: \"read_csv('x') = 1\"}\n", "6:", "read_csv"),
        ('checks:\n  - {condition: "a > now()"}\n', "6:", "clock"),
        ('checks:\n  - {condition: "a > 1", connected: true}\n', "6:", "exactly one kind"),
        ("checks:\n  - {name: x, connected: true}\n  - {name: x, connected: true}\n", "5:", "two checks"),
        ("colums: {a: {required: true}}\n", "5:", "colums"),
        ('where: "(select 1) = 1"\n', "5:", "where"),
        ("freshness: {column: a, within: soon}\n", "5:", "duration"),
        ("service_level: {passed: often, over: 1d}\n", "5:", "99.5%"),
        ("soda: {checks: [{row_count: {threshold: {must_be: 3, at: 4}}}]}\n", "5:", "at"),
        ("soda: {columns: [{name: a, checks: [{unheard: {}}]}]}\n", "5:", "unheard"),
        ("soda: {checks: [{failed_rows: {expression: \"a = '${env.HOME}'\"}}]}\n", "5:", "environment"),
        ("checks:\n  - {distribution: {column: a, shares: {x: 0.7, y: 0.7}}}\n", "6:", "1 at most"),
        ("checks:\n  - {distribution: {column: a}}\n", "6:", "`like` or `shares`"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, place: str, said: str) -> None:
    with pytest.raises(DefinitionError) as found:
        parse_contract(HEAD + text, "c.yaml")
    [finding] = found.value.findings
    assert str(finding).startswith(f"c.yaml:{place}")
    assert said in str(finding)


def test_a_check_of_nodes_is_refused_on_relationships() -> None:
    with pytest.raises(DefinitionError, match="is about nodes"):
        parse_contract(HEAD.replace("rows", '"[:T]"') + "checks: [{connected: true}]\n")


def test_lint_tells_what_no_value_can_keep(tmp_path: Path) -> None:
    body = (
        "columns:\n  a: {min: 3, max: 1}\n  b: {pattern: '(?<=x)y'}\n  c: {type: nonsense}\n"
        "rows: {min: 5, max: 2}\nchecks:\n  - {canaries: {model: none, queries: [{text: t, finds: {id: 1}}]}}\n"
    )
    (tmp_path / "d.yaml").write_text(HEAD + body)
    findings, definitions = lint_paths([tmp_path], settings=Settings())
    assert definitions == []
    assert [(one.line, one.message.split(" ")[0]) for one in findings] == [
        (2, "the"), (6, "min"), (7, "pattern"), (8, "unknown"), (9, "min"), (11, "no"),
    ]  # fmt: skip
