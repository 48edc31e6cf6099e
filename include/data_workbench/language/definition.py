"""Loads a pipeline file: every mistake at once, each with its line and column.

Cheap on purpose: the DAG loader does this for every file, so nothing here imports DuckDB, Arrow or sqlglot. What needs
them, and what spans several keys, is checked by `checks.lint`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

from pydantic import ValidationError

from data_workbench.errors import DefinitionError, Finding, UsageError
from data_workbench.language.expansion import Expanded, Surroundings, expand
from data_workbench.language.rule_files import ENDING as RULES_ENDING
from data_workbench.language.rule_files import find_rule_file, load_rule_set
from data_workbench.language.spec import Pipeline
from data_workbench.language.wording import explain
from data_workbench.language.yaml_quick import read_quickly
from data_workbench.language.yaml_tree import Node, Place, Problem, Unreadable, read_tree
from data_workbench.settings import Settings, load


@dataclass(frozen=True)
class Definition:
    """A pipeline as its file says it, with the places of all its keys and values."""

    spec: Pipeline
    path: str
    text: str
    around: Surroundings = field(default=Surroundings(), repr=False)

    @property
    def tree(self) -> Node:
        """The places of keys and values, with what the file takes from elsewhere."""
        return self._expanded.tree

    @cached_property
    def _expanded(self) -> Expanded:
        """Read when a place is asked for, which a sound file seldom needs."""
        try:
            tree = read_tree(self.text)[0]
        except Unreadable:  # libyaml takes a little more than ruamel does
            found = read_quickly(self.text)
            assert found is not None, "a definition is made of a text that one of the two reads"
            tree = found
        return expand(tree, self.path, self.around)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content: comments, order of keys and spelled-out defaults do not change it."""
        content = self.spec.model_dump(
            mode="json", by_alias=True, exclude={"use", "defaults", "environments", "prefixes"}
        )
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def in_environment(self, name: str) -> Definition:
        """What the file says where another environment is on. Raises DefinitionError."""
        return _parse(self.text, self.path, replace(self.around, environment=name))

    def locate(self, *path: str | int, key: bool = False) -> tuple[int, int]:
        """Line and column of a key path, or of its nearest parent that is in the file."""
        place = self.tree.locate(path, key=key)
        return place.line, place.column

    def finding(
        self,
        path: Iterable[str | int],
        message: str,
        *,
        hint: str | None = None,
        key: bool = False,
        within: tuple[int, int] | None = None,
    ) -> Finding:
        """A finding at a key path.

        Args:
            key: at the key instead of the value.
            within: line and column inside the value's text.
        """
        parts = tuple(path)
        place = self.tree.locate_inside(parts, *within) if within else self.tree.locate(parts, key=key)
        return self._expanded.finding(place, message, hint)


def load_definition(path: str | Path, *, settings: Settings | None = None) -> Definition:
    """Load a pipeline file.

    Raises:
        UsageError: the file cannot be read.
        DefinitionError: it is broken; `findings` has every mistake.
    """
    settings = settings or load()
    file = Path(path)
    try:
        size = file.stat().st_size
        if size > settings.max_definition_bytes:
            raise _too_big(str(path), size, settings)
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read pipeline file {str(path)!r}: {error.strerror or type(error).__name__}",
            hint="give the path of a .yaml file that exists and may be read",
        ) from None
    found = parse_definition(_decode(data, str(path)), path=str(path), settings=settings, folder=file.parent)
    return _with_rules(found, file.parent, settings)


def _with_rules(found: Definition, folder: Path, settings: Settings) -> Definition:
    """The definition with the rules of the files it names in their places."""
    steps = list(found.spec.steps)
    findings: list[Finding] = []
    for position, step in enumerate(steps):
        if step.rules is None or step.rules.file is None:
            continue
        place = ("steps", position, "rules")
        try:
            rules = load_rule_set(find_rule_file(folder, step.rules.file), settings.max_definition_bytes)
        except ValueError as error:
            findings.append(
                found.finding(
                    (*place, "file"), str(error), hint=f"name a file *{RULES_ENDING} beside or below the pipeline's"
                )
            )
            continue
        except DefinitionError as error:
            findings.extend(error.findings)
            continue
        wanted = step.rules.version
        if wanted is not None and wanted != rules.version:
            message = f"{step.rules.file} has version {rules.version}, not {wanted}"
            findings.append(found.finding((*place, "version"), message, hint="see what has changed in it"))
            continue
        steps[position] = step.model_copy(update={"rules": step.rules.model_copy(update={"set_": rules})})
    if findings:
        raise DefinitionError(in_order(findings))
    if steps == found.spec.steps:
        return found
    return replace(found, spec=found.spec.model_copy(update={"steps": steps}))


def parse_definition(
    text: str, *, path: str = "<text>", settings: Settings | None = None, folder: Path | None = None
) -> Definition:
    """Load a pipeline from its text; `path` is what findings name, `folder` where its templates lie.

    Raises:
        DefinitionError: it is broken, or what it uses is; `findings` has every mistake.
    """
    settings = settings or load()
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > settings.max_definition_bytes:
        raise _too_big(path, size, settings)
    around = surroundings(settings, folder)
    if _USES.search(text):  # what its template says now is not known here
        return _parse(text, path, around)
    return _parse_once(text, path, around)


_USES = re.compile(r"\buse[\"']?\s*:")


def _parse(text: str, path: str, around: Surroundings) -> Definition:
    quick = read_quickly(text)
    if quick is not None:
        whole = expand(quick, path, around)
        with suppress(ValidationError):  # the careful reading says what and where
            spec = Pipeline.model_validate(whole.tree.plain())
            if not whole.findings:
                return Definition(spec, path, text, around)
    return _parse_carefully(text, path, around)


_parse_once = lru_cache(maxsize=256)(_parse)
"""Cached by content: an Airflow process meets the same text again and again."""


def surroundings(settings: Settings, folder: Path | None) -> Surroundings:
    """What a pipeline file of a folder is read within. Raises DefinitionError for a broken project file."""
    project, key = None, None
    if settings.project.is_file():
        from data_workbench.language.project import load_project, state_of

        project, key = load_project(settings), state_of(settings)
    return Surroundings(folder, settings.environment, settings.max_definition_bytes, key, project)


def _parse_carefully(text: str, path: str, around: Surroundings) -> Definition:
    """A definition, or all that is wrong with it."""
    try:
        tree, problems = read_tree(text)
    except Unreadable as error:
        raise DefinitionError([_finding(path, problem) for problem in error.problems]) from None
    findings = [_finding(path, problem) for problem in problems]
    try:
        whole = expand(tree, path, around)
        findings.extend(whole.findings)
        spec = Pipeline.model_validate(whole.tree.plain())
    except DefinitionError as error:
        raise DefinitionError(in_order([*findings, *error.findings])) from None
    except ValidationError as error:
        for word in explain(error, whole.tree):
            place = whole.tree.locate(word.path, key=word.at_key)
            findings.append(whole.finding(place, word.message, word.hint))
        raise DefinitionError(in_order(findings)) from None
    if findings:
        raise DefinitionError(in_order(findings))
    return Definition(spec, path, text, around)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Findings from the top of a file to its end, each once."""
    return sorted(dict.fromkeys(findings), key=lambda one: (one.file, one.line, one.column))


def _finding(path: str, problem: Problem) -> Finding:
    return Finding(path, problem.place.line, problem.place.column, problem.message, problem.hint)


def _too_big(path: str, size: int, settings: Settings) -> DefinitionError:
    message = f"the file has {size} bytes; at most {settings.max_definition_bytes} are read"
    hint = "split the pipeline, or set WORKBENCH_MAX_DEFINITION_BYTES"
    return DefinitionError([Finding(path, 1, 1, message, hint)])


def _decode(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        message = f"byte 0x{data[error.start]:02X} is not UTF-8"
        raise DefinitionError([Finding(path, line, column, message, "save the file as UTF-8")]) from None


__all__ = ["Definition", "Place", "in_order", "load_definition", "parse_definition"]
