"""Finding and loading test files: every mistake at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from data_workbench.errors import DefinitionError, Finding, UsageError
from data_workbench.language.definition import Definition, in_order
from data_workbench.language.resolve import resolve
from data_workbench.language.rule_files import TESTS_ENDING
from data_workbench.language.wording import explain
from data_workbench.language.yaml_tree import Node, Unreadable, read_tree
from data_workbench.pipelines.checks import load_checked
from data_workbench.pipelines.planning import side_plans
from data_workbench.pipelines.testing.spec import Cases
from data_workbench.records.names import near_names

if TYPE_CHECKING:
    from data_workbench.settings import Settings


@dataclass(frozen=True)
class CaseFile:
    """A test file as it is written, with the places of all it says, and the pipeline it is about."""

    path: Path
    spec: Cases
    tree: Node
    definition: Definition

    def finding(
        self, path: Iterable[str | int], message: str, *, hint: str | None = None, key: bool = False
    ) -> Finding:
        """A finding at a key path."""
        place = self.tree.locate(tuple(path), key=key)
        return Finding(str(self.path), place.line, place.column, message, hint)

    @cached_property
    def givable(self) -> list[str]:
        """All that rows may be given for."""
        spec = self.definition.spec
        asked = [f"enrich:{step.name}" for step in spec.steps if step.enrich is not None]
        return [*spec.sources, *side_plans(spec), *asked]

    @cached_property
    def nodes(self) -> list[str]:
        """Sources and steps."""
        spec = self.definition.spec
        return [*spec.sources, *(step.name for step in spec.steps)]

    @cached_property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Per destination the nodes it reads."""
        return dict(resolve(self.definition.spec).target_inputs)

    def node_of(self, name: str) -> str:
        """The node that a name under `rows` means: itself, or the only input of a destination."""
        return name if name in self.nodes else self.inputs[name][0]


def load_cases(paths: Iterable[str | Path], *, settings: Settings) -> list[CaseFile]:
    """The test files that paths mean: themselves, those below a folder, the one beside a pipeline file.

    Raises:
        UsageError: a path does not exist, or means no test file.
        DefinitionError: files are broken, or speak of what their pipeline does not have.
    """
    found: list[CaseFile] = []
    findings: list[Finding] = []
    for file in dict.fromkeys(one for path in paths for one in find_files(Path(path))):
        try:
            found.append(load_case_file(file, settings))
        except DefinitionError as error:
            findings.extend(error.findings)
    if findings:
        raise DefinitionError(in_order(findings))
    return found


def find_files(path: Path) -> list[Path]:
    """The test files that one path means. Raises UsageError if there are none."""
    if path.is_dir():
        found = sorted(one for one in path.rglob(f"*{TESTS_ENDING}") if one.is_file())
        if not found:
            raise UsageError(f"no test file in {str(path)!r}", hint=f"name them NAME{TESTS_ENDING}, beside NAME.yaml")
        return found
    if not path.is_file():
        raise UsageError(
            f"no file or folder {str(path)!r}", hint=f"give a file NAME{TESTS_ENDING}, or a folder of some"
        )
    if path.name.endswith(TESTS_ENDING):
        return [path]
    beside = path.with_name(path.stem + TESTS_ENDING)
    if not beside.is_file():
        raise UsageError(f"{str(path)!r} has no tests", hint=f"write them in {str(beside)!r}")
    return [beside]


def load_case_file(path: Path, settings: Settings) -> CaseFile:
    """One test file with its pipeline.

    Raises:
        DefinitionError: it or its pipeline is broken.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(path, f"the file cannot be read ({type(error).__name__})", "save it as UTF-8") from None
    if len(text) > settings.max_definition_bytes:
        hint = "keep rows in files of their own, as {file: …}"
        raise _broken(path, f"the file has more than {settings.max_definition_bytes} characters", hint)
    try:
        tree, problems = read_tree(text)
    except Unreadable as error:
        raise DefinitionError(
            [Finding(str(path), one.place.line, one.place.column, one.message, one.hint) for one in error.problems]
        ) from None
    findings = [Finding(str(path), one.place.line, one.place.column, one.message, one.hint) for one in problems]
    try:
        spec = Cases.model_validate(tree.plain())
    except ValidationError as error:
        for word in explain(error, tree, Cases):
            place = tree.locate(word.path, key=word.at_key)
            findings.append(Finding(str(path), place.line, place.column, word.message, word.hint))
        raise DefinitionError(in_order(findings)) from None
    file = CaseFile(path, spec, tree, _pipeline(path, spec, tree, settings))
    findings.extend(_unfit(file))
    if findings:
        raise DefinitionError(in_order(findings))
    return file


def _pipeline(path: Path, spec: Cases, tree: Node, settings: Settings) -> Definition:
    root = path.parent.resolve()
    name = spec.pipeline or path.name.removesuffix(TESTS_ENDING) + ".yaml"
    file = (root / name).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        place = tree.locate(("pipeline",))
        hint = "name it with pipeline: FILE, below the test file's folder"
        raise DefinitionError([Finding(str(path), place.line, place.column, f"there is no pipeline {name!r}", hint)])
    return load_checked(path.parent / name, settings=settings)


def _broken(path: Path, message: str, hint: str) -> DefinitionError:
    return DefinitionError([Finding(str(path), 1, 1, message, hint)])


# -------------------------------------------------------------------------------------------- names that do not fit


def _unfit(file: CaseFile) -> list[Finding]:
    """Whatever the file names and its pipeline does not have."""
    spec = file.spec
    found = _unknown(file, ("columns",), spec.columns, file.givable, "source")
    found += _unknown(file, ("keys",), spec.keys, list(file.definition.spec.sources), "source")
    found += _unknown(file, ("given",), spec.given, file.givable, "source")
    seen: dict[str, int] = {}
    for at, case in enumerate(spec.tests):
        place = ("tests", at)
        if case.name in seen:
            found.append(file.finding((*place, "name"), f"test {case.name!r} is there twice", hint="rename one"))
        seen[case.name] = at
        found += _unknown(file, (*place, "given"), case.given, file.givable, "source")
        found += _unknown(file, (*place, "params"), case.params, list(file.definition.spec.params), "param")
        asked = [*file.nodes, *file.inputs]
        for name in ("rows", "deleted"):
            names = getattr(case.expect, name)
            found += _unknown(file, (*place, "expect", name), names, asked, "source, step or destination")
            found += [
                file.finding(
                    (*place, "expect", name, one),
                    f"destination {one!r} has {len(file.inputs[one])} inputs",
                    hint=f"name one of them: {', '.join(file.inputs[one])}",
                    key=True,
                )
                for one in names
                if one not in file.nodes and len(file.inputs.get(one, "x")) != 1
            ]
        found += _unknown(file, (*place, "expect", "counts"), case.expect.counts, file.nodes, "source or step")
        for number, record in enumerate(case.expect.quarantined):
            if record.at not in file.nodes:
                where = (*place, "expect", "quarantined", number, "at")
                message = f"no source or step is named {record.at!r}"
                found.append(file.finding(where, message, hint=near_names(record.at, file.nodes)))
    return found


def _unknown(
    file: CaseFile, path: tuple[str | int, ...], names: Iterable[str], known: list[str], what: str
) -> list[Finding]:
    return [
        file.finding((*path, name), f"no {what} is named {name!r}", hint=near_names(name, known), key=True)
        for name in names
        if name not in known
    ]
