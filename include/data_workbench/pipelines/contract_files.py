"""Files of contracts: read like a pipeline file, every mistake with its place, expressions checked beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from data_workbench.errors import DefinitionError, Finding, UsageError
from data_workbench.language.definition import in_order
from data_workbench.language.wording import explain
from data_workbench.language.yaml_tree import Node, Unreadable, read_tree
from data_workbench.language.yaml_tree import Path as Place
from data_workbench.quality.standalone import Evaluation, StandaloneContract
from data_workbench.quality.standalone.evaluation import Expressions
from data_workbench.quality.standalone.kinds import Other
from data_workbench.quality.standalone.wholes import other_of
from data_workbench.transforms.expressions import check_expression
from data_workbench.transforms.words import ExpressionError

if TYPE_CHECKING:
    from data_workbench.settings import Settings

ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class ContractFile:
    """A contract without mistakes."""

    path: str
    evaluation: Evaluation
    tree: Node = field(repr=False, compare=False)

    @property
    def contract(self) -> StandaloneContract:
        return self.evaluation.contract

    def finding(self, place: Place, message: str, hint: str | None) -> Finding:
        """A mistake at a key path."""
        return _finding(self.path, self.tree, place, message, hint)


def load_contract(path: Path, settings: Settings) -> ContractFile:
    """A contract file.

    Raises:
        UsageError: it cannot be read.
        DefinitionError: it is broken; `findings` has every mistake.
    """
    return parse_contract(_text(path, settings), str(path))


def _text(path: Path, settings: Settings) -> str:
    try:
        if path.stat().st_size > settings.max_definition_bytes:
            message = f"the file has {path.stat().st_size} bytes; at most {settings.max_definition_bytes} are read"
            raise DefinitionError([Finding(str(path), 1, 1, message)])
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read contract {str(path)!r} ({type(error).__name__})", hint="give a .yaml file in UTF-8"
        ) from None


def parse_contract(text: str, path: str = "<text>") -> ContractFile:
    """A contract from its text. Raises DefinitionError."""
    try:
        tree, problems = read_tree(text)
    except Unreadable as error:
        tree, problems = None, error.problems
    findings = [Finding(path, one.place.line, one.place.column, one.message, one.hint) for one in problems]
    if tree is None:
        raise DefinitionError(findings)
    try:
        contract = StandaloneContract.model_validate(tree.plain())
    except ValidationError as error:
        for word in explain(error, tree, StandaloneContract):
            findings.append(_finding(path, tree, word.path, word.message, word.hint, key=word.at_key))
        raise DefinitionError(in_order(findings)) from None
    expressions = _Reading(path, tree, contract)
    made = expressions.read()
    if findings + expressions.findings:
        raise DefinitionError(in_order([*findings, *expressions.findings]))
    return ContractFile(path, Evaluation(contract, made), tree)


def read_document(path: Path, settings: Settings) -> Any:
    """A YAML document of other tools, as safely read as our own. Raises UsageError, DefinitionError."""
    try:
        tree, problems = read_tree(_text(path, settings))
    except Unreadable as error:
        tree, problems = None, error.problems
    if tree is None or problems:
        places = [(one.place, one.message, one.hint) for one in problems]
        raise DefinitionError([Finding(str(path), at.line, at.column, message, hint) for at, message, hint in places])
    return tree.plain()


def contract_files(settings: Settings) -> list[Path]:
    """The files of the contracts' folder, by name."""
    return sorted(path for path in settings.contracts.glob("*") if path.suffix in ENDINGS)


def _finding(path: str, tree: Node, place: Place, message: str, hint: str | None, *, key: bool = False) -> Finding:
    found = tree.locate(place, key=key)
    return Finding(path, found.line, found.column, message, hint)


Checked = tuple[str, frozenset[str]]


class _Reading:
    """Checks the expressions of a contract; columns are not known without its store."""

    def __init__(self, path: str, tree: Node, contract: StandaloneContract) -> None:
        self._path, self._tree, self._contract = path, tree, contract
        self.findings: list[Finding] = []

    def read(self) -> Expressions:
        one = self._contract
        where = self._checked(("where",), one.where)
        derived = {name: self._checked(("derive", name), sql) for name, sql in one.derive.items()}
        conditions: dict[str, Checked | None] = {}
        sides: dict[str, Checked | None] = {}
        for position, check in enumerate(one.checks):
            place: Place = ("checks", position, check.kind)
            if check.condition is not None:
                conditions[check.title] = self._checked(place, check.condition)
            other = getattr(check, check.kind)
            if isinstance(other, Other) and other.where is not None:
                sides[check.title] = self._checked((*place, "where"), other.where)
            elif (beside := other_of(check)) is not None and beside.where is not None:
                inside = "like" if check.kind == "distribution" else "than"
                sides[check.title] = self._checked((*place, inside, "where"), beside.where)
            if check.drift is not None and check.drift.where is not None:
                conditions[check.title] = self._checked((*place, "where"), check.drift.where)
        return Expressions(where, _sound(derived), _sound(conditions), _sound(sides))

    def _checked(self, place: Place, sql: str | None) -> Checked | None:
        if sql is None:
            return None
        try:
            found = check_expression(sql, columns=None, params={}, what=str(place[-1]))
        except ExpressionError as error:
            self.findings.append(_finding(self._path, self._tree, place, error.message, error.hint))
            return None
        if found.params:
            hint = "promise `freshness` instead"
            self.findings.append(_finding(self._path, self._tree, place, "a contract has no clock and no params", hint))
        return found.sql, found.columns


def _sound(found: Mapping[str, Checked | None]) -> dict[str, Checked]:
    return {name: one for name, one in found.items() if one is not None}
