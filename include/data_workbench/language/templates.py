"""Template files `*.template.yaml`, and the tree that comes of one when a pipeline gives its variables values.

A template may begin with another; one that comes to itself again is refused, and so is a chain that is too long. What
comes of all of it is held to the limits of a single file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data_workbench.errors import DefinitionError, Finding
from data_workbench.language.grafting import TEXT, VARIABLE, Ungraftable, bound, mapping, merged
from data_workbench.language.rule_files import TEMPLATE_ENDING as ENDING
from data_workbench.language.spec_reuse import Template, Use, Variable
from data_workbench.language.yaml_quick import read_quickly
from data_workbench.language.yaml_tree import MOST_NODES, Node, Problem, Unreadable, read_tree
from data_workbench.records.names import near_names

_LONGEST_CHAIN = 8
_KINDS: Mapping[str, tuple[type, ...]] = {
    "text": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "list": (list,), "mapping": (dict,),
}  # fmt: skip


@dataclass(frozen=True)
class TemplateFile:
    """A template that was read, with its places."""

    path: Path
    spec: Template
    tree: Node

    def finding(self, path: tuple[str | int, ...], message: str, hint: str | None = None) -> Finding:
        """A mistake at a place of it."""
        place = self.tree.locate(path)
        return Finding(str(self.path), place.line, place.column, message, hint)


def load_template(path: Path, most_bytes: int) -> TemplateFile:
    """A template by its file, whole in itself: its variables are declared, their defaults fit.

    Raises:
        DefinitionError: it cannot be read, or is broken; with places in it.
    """
    try:
        facts = path.stat()
        return _load(path, facts.st_mtime_ns, facts.st_size, most_bytes)
    except OSError as error:
        raise DefinitionError([Finding(str(path), 1, 1, f"cannot be read ({type(error).__name__})")]) from None


@lru_cache(maxsize=64)
def _load(path: Path, _changed: int, size: int, most_bytes: int) -> TemplateFile:
    """Cached by the file's time and size: many pipelines of a folder use one."""
    if size > most_bytes:
        raise DefinitionError([Finding(str(path), 1, 1, f"larger than {most_bytes} bytes")])
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    tree = read_quickly(text, file=str(path)) or _read_carefully(text, path)
    try:
        spec = Template.model_validate(tree.plain())
    except ValidationError as error:
        from data_workbench.language.wording import explain

        words = [(tree.locate(word.path, key=word.at_key), word) for word in explain(error, tree, Template)]
        raise DefinitionError(
            [Finding(str(path), place.line, place.column, word.message, word.hint) for place, word in words]
        ) from None
    found = TemplateFile(path, spec, tree)
    findings = _mistakes(found)
    if findings:
        raise DefinitionError(findings)
    return found


def _read_carefully(text: str, path: Path) -> Node:
    problems: list[Problem] = []
    try:
        tree, problems = read_tree(text, file=str(path))
        if not problems:
            return tree
    except Unreadable as error:
        problems = error.problems
    raise DefinitionError(
        [Finding(str(path), one.place.line, one.place.column, one.message, one.hint) for one in problems]
    )


def _mistakes(found: TemplateFile) -> list[Finding]:
    spec, wrong = found.spec, list[Finding]()
    if spec.template != found.path.name.removesuffix(ENDING):
        wrong.append(found.finding(("template",), f"the template {spec.template!r} stands in {found.path.name}"))
    for name, variable in spec.variables.items():
        if not variable.is_required and not _fits(variable, variable.default):
            message = f"default of {name!r} is no {variable.type}, or not allowed"
            wrong.append(found.finding(("variables", name, "default"), message))
    declared = {name: Node("scalar", found.tree.place, "") for name in spec.variables}
    for key in ("pipeline", "use"):
        wrong.extend(_undeclared(found, found.tree.children.get(key), declared))
    return wrong


def _undeclared(found: TemplateFile, node: Node | None, declared: Mapping[str, Node]) -> list[Finding]:
    """Variables that a tree names and the template does not declare; what only values tell is left for its use."""
    if node is None or node.kind == "scalar":
        return []
    if VARIABLE in node.children:
        child = node.children[VARIABLE]
        if len(node.children) == 1 and child.kind == "scalar" and child.value in declared:
            return []
        place = child.place
        hint = near_names(str(child.value), declared)
        return [Finding(str(found.path), place.line, place.column, f"no variable {child.value!r} is declared", hint)]
    wrong = [one for child in node.children.values() for one in _undeclared(found, child, declared)]
    if TEXT in node.children and len(node.children) > 1:
        wrong.append(Finding(str(found.path), node.place.line, node.place.column, f"{TEXT} stands beside other keys"))
    return wrong


def _fits(variable: Variable, value: Any) -> bool:
    if isinstance(value, bool) and variable.type != "boolean":
        return False
    return isinstance(value, _KINDS[variable.type]) and (variable.values is None or value in variable.values)


# ------------------------------------------------------------------------------------------------------ using one


def skeleton(use: Use, asked: Node, file: str, folder: Path, most_bytes: int, chain: tuple[str, ...] = ()) -> Node:
    """What a template makes of a pipeline: the keys of its file below `pipeline`, with values for its variables.

    Args:
        asked: the tree of `use`, in `file`; its values become part of the pipeline where they stand.
        folder: of the pipeline's file; templates lie in it or below.
        chain: templates that are being made already.

    Raises:
        DefinitionError: there is no such template, it is broken, or the values do not fit.
    """
    root = folder.resolve()
    path = (root / f"{use.template}{ENDING}").resolve()
    at = asked.locate(("template",))
    where = at.file or file
    if use.template in chain or len(chain) >= _LONGEST_CHAIN:
        way = " -> ".join([*chain, use.template])
        message = (
            f"template {use.template!r} never ends: {way}" if use.template in chain else f"too long a chain: {way}"
        )
        raise DefinitionError([Finding(where, at.line, at.column, message, f"at most {_LONGEST_CHAIN} begin with one")])
    if not path.is_relative_to(root) or not path.is_file():
        known = sorted(str(one.relative_to(root)).removesuffix(ENDING) for one in root.rglob(f"*{ENDING}"))
        message = f"no template {use.template!r} in the pipeline's folder"
        raise DefinitionError([Finding(where, at.line, at.column, message, near_names(use.template, known))])
    found = load_template(path, most_bytes)
    values = _values(found, asked, where)
    try:
        made = bound(found.tree.children["pipeline"], values, MOST_NODES)
        inner = bound(found.tree.children["use"], values, MOST_NODES) if found.spec.use else None
    except Ungraftable as error:
        raise DefinitionError([_told(error.problem, found, where, asked)]) from None
    if inner is None:
        return made
    below = skeleton(Use.model_validate(inner.plain()), inner, str(path), folder, most_bytes, (*chain, use.template))
    return merged(made, below)


def _values(found: TemplateFile, asked: Node, file: str) -> dict[str, Node]:
    """A node for each variable: the one given, or its default. Raises DefinitionError for what does not fit."""
    given = asked.find(("with",)) or mapping(asked.place, {}, {})
    variables, wrong = found.spec.variables, list[Finding]()

    def say(node: Node, message: str, hint: str | None) -> None:
        place = node.place
        wrong.append(Finding(place.file or file, place.line, place.column, message, hint))

    for name in given.children:
        if name not in variables:
            place = given.keys[name]
            message = f"template {found.spec.template!r} has no variable {name!r}"
            wrong.append(
                Finding(place.file or file, place.line, place.column, message, near_names(str(name), variables))
            )
    values: dict[str, Node] = {}
    for name, variable in variables.items():
        node = given.children.get(name)
        if node is None and variable.is_required:
            say(asked, f"template {found.spec.template!r} needs variable {name!r}", variable.description)
        elif node is not None and not _fits(variable, node.plain()):
            allowed = f" of {', '.join(map(str, variable.values))}" if variable.values else ""
            at = found.tree.locate(("variables", name), key=True)
            say(node, f"variable {name!r} takes a {variable.type}{allowed}", f"{found.path}:{at.line}:{at.column}")
        else:
            values[name] = node or found.tree.find(("variables", name, "default")) or asked
    if wrong:
        raise DefinitionError(wrong)
    return values


def _told(problem: Problem, found: TemplateFile, file: str, asked: Node) -> Finding:
    """A mistake in a template that only its use shows."""
    place = problem.place
    message = f"{problem.message}, used by {asked.place.file or file}:{asked.place.line}:{asked.place.column}"
    return Finding(place.file or str(found.path), place.line, place.column, message, problem.hint)
