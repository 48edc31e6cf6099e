"""What a pipeline file means where it lies: its template, the defaults above it, and what its environment changes.

From the weakest to the strongest: the project file's defaults, the template, the file's own `defaults`, what a source
or destination says itself; then what the environment changes, in the project file and in the pipeline's own. All of it
is done on trees, so every value keeps its place, and a mistake in it is told where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel, ValidationError

from data_workbench.errors import DefinitionError, Finding
from data_workbench.language.grafting import mapping, merged, without
from data_workbench.language.prefixes import with_whole_iris
from data_workbench.language.spec import Defaults, Override
from data_workbench.language.spec_reuse import Use
from data_workbench.language.templates import skeleton
from data_workbench.language.yaml_tree import DEEPEST, MOST_NODES, Node, Place
from data_workbench.records.names import near_names

if TYPE_CHECKING:
    from data_workbench.language.project import Project

_Model = TypeVar("_Model", bound=BaseModel)
_KINDS: Final = ("sources", "destinations")


@dataclass(frozen=True)
class Surroundings:
    """What a pipeline file is read within.

    Args:
        folder: where its templates lie; None for a text that has no file.
        environment: the one that is on; "" is none.
        project_key: tells one state of the project file from another.
    """

    folder: Path | None = None
    environment: str = ""
    most_bytes: int = 262_144
    project_key: tuple[str, int, int] | None = None
    project: Project | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Expanded:
    """The tree of a pipeline with all that it takes from elsewhere.

    Args:
        used: where it names its template.
        findings: what is wrong that the tree itself does not show any more.
    """

    tree: Node
    file: str
    used: Place | None = None
    findings: tuple[Finding, ...] = ()

    def finding(self, place: Place, message: str, hint: str | None = None) -> Finding:
        """A mistake at a place of the file, its template or the project file; then with the file that is made of it."""
        if not place.file:
            return Finding(self.file, place.line, place.column, message, hint)
        at = f":{self.used.line}:{self.used.column}" if self.used else ""
        return Finding(place.file, place.line, place.column, f"{message}, used by {self.file}{at}", hint)


def expand(tree: Node, file: str, around: Surroundings) -> Expanded:
    """The tree as the pipeline is checked and run.

    Raises:
        DefinitionError: `use`, `defaults` or `environments` are broken, or too much comes of them.
    """
    asked = tree.children.get("use")
    used = asked.locate(("template",)) if asked is not None else None
    found = Expanded(tree, file, used)
    if asked is not None:
        checked = _checked(Use, asked, "use", found)
        folder = around.folder
        if folder is None:
            place = asked.place
            raise DefinitionError([found.finding(place, "a text without a file has no templates beside it")])
        made = skeleton(checked, asked, file, folder, around.most_bytes)
        tree = _over(without(tree, "use"), made)
    if around.project is not None and around.project.defaults is not None:
        tree = _over(tree, without(around.project.defaults, *_KINDS))
    tree = _with_defaults(tree, around, found)
    tree = _in_environment(tree, around, found)
    if tree.size > MOST_NODES or tree.height > DEEPEST:
        message = f"more than {MOST_NODES} values, or {DEEPEST} levels, come of this file and what it uses"
        raise DefinitionError([found.finding(used or tree.place, message, "split the pipeline")])
    tree, problems = with_whole_iris(tree)
    return Expanded(tree, file, used, tuple(found.finding(one.place, one.message, one.hint) for one in problems))


def _over(over: Node, under: Node) -> Node:
    """A pipeline over another; a schedule is of one kind, so it is taken whole."""
    found = merged(over, under)
    if "schedule" not in over.children:
        return found
    return mapping(found.place, {**found.children, "schedule": over.children["schedule"]}, found.keys)


def _with_defaults(tree: Node, around: Surroundings, found: Expanded) -> Node:
    """Sources and destinations with the keys that are given for all of them."""
    own, project = tree.children.get("defaults"), around.project.defaults if around.project else None
    if own is not None:
        _checked(Defaults, own, "defaults", found)
    entries = dict(tree.children)
    for kind in _KINDS:
        items = entries.get(kind)
        below = [one.children[kind] for one in (own, project) if one is not None and kind in one.children]
        if items is None or items.kind != "mapping" or not below:
            continue
        common = below[0] if len(below) == 1 else merged(below[0], below[1])
        made = {name: merged(item, common) for name, item in items.children.items()}
        entries[kind] = mapping(items.place, made, items.keys)
    return without(mapping(tree.place, entries, tree.keys), "defaults") if entries != tree.children or own else tree


def _in_environment(tree: Node, around: Surroundings, found: Expanded) -> Node:
    """The tree with what its environment changes."""
    environments = tree.children.get("environments")
    own = environments.children.get(around.environment) if environments is not None else None
    for override in _overrides(around.project.override if around.project else None, own):
        if override is own:
            _checked(Override, override, f"environments.{around.environment}", found)
        params = override.children.get("params")
        rest = without(override, "params")
        tree = mapping(tree.place, {**tree.children, **rest.children}, {**tree.keys, **rest.keys})
        if params is not None:
            tree = _with_params(tree, params, found)
    return tree


def _overrides(*nodes: Node | None) -> Iterator[Node]:
    yield from (node for node in nodes if node is not None and node.kind == "mapping")


def _with_params(tree: Node, values: Node, found: Expanded) -> Node:
    declared = tree.children.get("params")
    known = declared.children if declared is not None and declared.kind == "mapping" else {}
    entries = dict(known)
    for name, value in values.children.items():
        if name not in known:
            message = f"there is no param {name!r} to give a value"
            raise DefinitionError([found.finding(values.keys[name], message, near_names(str(name), map(str, known)))])
        place = values.keys[name]
        entries[name] = merged(mapping(place, {"default": value}, {"default": place}), known[name])
    params = mapping(values.place, entries, declared.keys if declared is not None else {})
    return mapping(tree.place, {**tree.children, "params": params}, tree.keys)


def _checked(model: type[_Model], node: Node, name: str, found: Expanded) -> _Model:
    """What one key holds. Raises DefinitionError with all that is wrong with it."""
    try:
        return model.model_validate(node.plain())
    except ValidationError as error:
        from data_workbench.language.wording import explain

        words = [(node.locate(word.path, key=word.at_key), word) for word in explain(error, node, model)]
        findings = [
            found.finding(
                place,
                f"{name}: {word.message}" if word.path else f"{name!r}{word.message.removeprefix('the file')}",
                word.hint,
            )
            for place, word in words
        ]
        raise DefinitionError(findings) from None
