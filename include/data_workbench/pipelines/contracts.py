"""Contracts of their own: their files, their expressions, and holding them against the stores.

A contract file is read like a pipeline file: every mistake with its place, expressions checked before anything runs.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from data_workbench.errors import DefinitionError, Finding, UsageError, WorkbenchError
from data_workbench.metastore import checks as history
from data_workbench.metastore.connection_checks import states
from data_workbench.pipelines.classification import CLASSIFIED, classified_columns, is_classified
from data_workbench.pipelines.definition import in_order, load_definition
from data_workbench.pipelines.rule_files import is_pipeline_file
from data_workbench.pipelines.run import new_run_id
from data_workbench.pipelines.stores import Stores
from data_workbench.pipelines.telling_quality import downstream, routing
from data_workbench.pipelines.wording import explain
from data_workbench.pipelines.yaml_tree import Node, Unreadable, read_tree
from data_workbench.pipelines.yaml_tree import Path as Place
from data_workbench.quality.incidents import Surroundings, tell
from data_workbench.quality.keeping import keep_profile, keep_results, watch
from data_workbench.quality.profiling import Asked, profile
from data_workbench.quality.standalone import Evaluation, Reader, StandaloneContract
from data_workbench.quality.standalone.evaluation import Expressions
from data_workbench.quality.standalone.model import Other
from data_workbench.transforms.expressions import check_expression
from data_workbench.transforms.words import ExpressionError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.anomalies import Unusual
    from data_workbench.pipelines.definition import Definition
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class ContractFile:
    """A contract without mistakes."""

    path: str
    evaluation: Evaluation

    @property
    def contract(self) -> StandaloneContract:
        return self.evaluation.contract


# --------------------------------------------------------------------------------------------------------- files


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
    return ContractFile(path, Evaluation(contract, made))


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


def is_contract_file(path: Path) -> bool:
    """Whether a YAML file says of itself that it is one: a pipeline's contract is below a key, not a name."""
    with suppress(OSError, UnicodeDecodeError, Unreadable):
        plain = read_tree(path.read_text(encoding="utf-8"))[0].plain()
        return isinstance(plain, dict) and isinstance(plain.get("contract"), str) and "pipeline" not in plain
    return False


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


# ----------------------------------------------------------------------------------------------------- evaluating


@dataclass(frozen=True)
class Contracts:
    """Holds contracts against the stores, and keeps what was found."""

    settings: Settings
    connections: Connections
    metastore: Metastore | None
    routes: Sequence[str] = ()
    """Who can be told; the rules say who is. Alerts are stored here and handed out by `notifications.deliver`."""

    def find(self, subject: str | None) -> list[ContractFile]:
        """The contracts that a name, a file or a dataset means; all if none is named.

        Raises:
            DefinitionError: a file among them is broken.
        """
        if subject is not None and Path(subject).is_file():
            return [load_contract(Path(subject), self.settings)] if is_contract_file(Path(subject)) else []
        files = contract_files(self.settings)
        named = [path for path in files if path.stem == subject]
        if named:
            return [load_contract(path, self.settings) for path in named]
        found = [load_contract(path, self.settings) for path in files]
        return [one for one in found if subject in (None, one.contract.contract, one.contract.dataset)]

    def check(self, chosen: Sequence[ContractFile]) -> list[dict[str, Any]]:
        """The results of all checks of these contracts."""
        found: list[dict[str, Any]] = []
        folder = self.settings.home / "work" / f"check-{new_run_id()}"
        hidden = self._hidden(chosen)
        with Stores(self.connections, self.settings) as stores:
            for position, one in enumerate(chosen):
                place = folder / str(position)
                reader = Reader(stores.source, hidden, self.settings, place)
                try:
                    told = one.evaluation.run(reader)
                finally:
                    shutil.rmtree(place, ignore_errors=True)
                if self.metastore is not None:
                    keep_results(self.metastore, told)
                    self._profile(one, stores, hidden)
                    strange = watch(self.metastore, one.contract.dataset)
                    self._tell(self.metastore, told, strange)
                found += [*told, *self._service_level(one)]
        shutil.rmtree(folder, ignore_errors=True)
        return found

    def _tell(self, store: Metastore, told: Sequence[dict[str, Any]], strange: Sequence[Unusual]) -> None:
        if not told:
            return
        contract, dataset = told[0]["contract"], told[0]["dataset"]
        following, writers = downstream(self._definitions, dataset)
        around = Surroundings(
            downstream=following,
            replay=[*(f"workbench run {name}" for name in writers), f"workbench check {contract}"],
            unusual=[f"{one.column} {one.name}: {one.value:.6g}".strip() for one in strange if one.is_new],
            escalate_after=timedelta(hours=self.settings.escalation_hours),
            broken_connections={name for name, one in states(store).items() if one.state == "broken"},
        )
        tell(store, told, around, routing(self.settings.alert_rules, self.routes))

    def _profile(self, one: ContractFile, stores: Stores, hidden: Callable[[str], Collection[str]]) -> None:
        """Take the profile that a contract asks for; a store that is away was told by its checks."""
        if not one.contract.profile or self.metastore is None:
            return
        classified = dict.fromkeys(hidden(one.contract.dataset), CLASSIFIED)
        asked = Asked(one.contract.connection, one.contract.stream, hidden=classified)
        try:
            keep_profile(self.metastore, profile(stores.source(asked.connection), asked, self.settings))
        except WorkbenchError as error:
            log.warning("%s: no profile: %s", one.contract.dataset, error.message)

    def _service_level(self, one: ContractFile) -> Iterator[dict[str, Any]]:
        """Computed from the history, the results of just now included; it is not kept, since it repeats them."""
        wanted = one.contract.service_level
        if wanted is None:
            return
        if self.metastore is None:
            yield one.evaluation.unknown("service level", one.contract.severity, "without the metastore")
            return
        good, evaluated = history.share_passed(self.metastore, one.contract.contract, datetime.now(UTC) - wanted.over)
        if not evaluated:
            yield one.evaluation.unknown("service level", one.contract.severity, "no check was evaluated yet")
            return
        is_kept = good / evaluated >= float(wanted.passed.removesuffix("%")) / 100
        sample = [] if is_kept else [{"passed": f"{good / evaluated:.3%}", "wanted": wanted.passed}]
        failing = 0 if is_kept else evaluated - good
        yield one.evaluation.result("service level", one.contract.severity, failing, rows_=evaluated, sample=sample)

    @cached_property
    def _definitions(self) -> list[Definition]:
        """The pipelines that can be read; a broken one that classifies columns is told, since nobody knows which."""
        found = []
        for file in sorted(filter(is_pipeline_file, self.settings.pipelines.glob("*"))):
            try:
                found.append(load_definition(file, settings=self.settings))
            except DefinitionError:
                if b"classification" in file.read_bytes():
                    raise
        return found

    def _hidden(self, chosen: Sequence[ContractFile]) -> Callable[[str], Collection[str]]:
        """The classified columns of a dataset: by pipelines, and by these contracts."""
        definitions = self._definitions

        @cache
        def hidden(dataset: str) -> frozenset[str]:
            own = {
                name
                for one in chosen
                if one.contract.dataset == dataset
                for name, column in one.contract.columns.items()
                if is_classified(column)
            }
            return classified_columns(definitions, dataset) | own

        return hidden
