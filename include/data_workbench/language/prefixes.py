"""IRIs of a pipeline file written with prefixes, made whole: on the tree, so that every value keeps its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from data_workbench.language.yaml_tree import Node, Problem
from data_workbench.mapping.iri_prefixes import KNOWN, Prefixes, UnknownPrefix, local_name, problem_of
from data_workbench.records.names import near_names

_What = Literal["iri", "name", "stream", "option"]
"""`name` is the last word of an IRI; `stream` and `option` may hold something else, which is left as it is."""
_ALL: Final = "*"
_RESOURCE: Final = ("destinations", _ALL, "resource")
_LINKS: Final = ("destinations", _ALL, "relationships", _ALL)
_PLACES: Final[Mapping[tuple[str, ...], _What]] = {
    **{(*_RESOURCE, key): "iri" for key in ("graph", "subject", "class", "vocabulary")},
    (*_RESOURCE, "properties", _ALL): "iri",
    (*_RESOURCE, "properties", _ALL, "iri"): "iri",
    (*_RESOURCE, "properties", _ALL, "link"): "iri",
    ("destinations", _ALL, "nodes", _ALL, "label"): "name",
    (*_LINKS, "type"): "name",
    (*_LINKS, "from", "label"): "name",
    (*_LINKS, "to", "label"): "name",
    ("steps", _ALL, "map", _ALL, "iri"): "iri",
    ("sources", _ALL, "stream"): "stream",
    ("sources", _ALL, "options", "graph"): "option",
    ("sources", _ALL, "options", "properties", _ALL): "option",
    ("sources", _ALL, "options", "iris", _ALL): "option",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")


@dataclass
class _Work:
    prefixes: Prefixes
    problems: list[Problem] = field(default_factory=list)

    def made(self, node: Node, what: _What) -> Node:
        """A scalar with its IRI whole."""
        text = node.value
        if not isinstance(text, str) or ":" not in text:
            return node
        if what == "stream":
            kind, _, rest = text.partition(":")
            return self._given(node, f"{kind}:{self._lenient(rest)}") if kind in ("class", "graph") else node
        if what == "option":
            return self._given(node, self._lenient(text))
        try:
            whole = self.prefixes.expand(text)
        except UnknownPrefix as unknown:
            near = near_names(unknown.prefix, {**KNOWN, **self.prefixes.declared})
            hint = f"declare it, prefixes: {{{unknown.prefix}: IRI}}; {near}"
            self.problems.append(Problem(node.place, f"{text!r}: {unknown.prefix!r} is no prefix of this file", hint))
            return node
        return self._given(node, self._name(node, whole) if what == "name" else whole)

    def _lenient(self, text: str) -> str:
        try:
            return self.prefixes.expand(text)
        except UnknownPrefix:
            return text

    def _name(self, node: Node, iri: str) -> str:
        name = local_name(iri)
        if not _NAME.fullmatch(name):
            hint = "letters, digits and underscores; write the label itself"
            self.problems.append(Problem(node.place, f"the last word of {iri}, {name!r}, is no label", hint))
        return name

    @staticmethod
    def _given(node: Node, text: str) -> Node:
        return node if text == node.value else replace(node, value=text)


def with_whole_iris(tree: Node) -> tuple[Node, list[Problem]]:
    """The tree with whole IRIs in the places of prefixed ones, and names of IRIs in those of labels and types."""
    declared, problems = _declared(tree)
    work = _Work(Prefixes(declared), problems)
    return _walked(tree, dict(_PLACES), work), work.problems


def _declared(tree: Node) -> tuple[dict[str, str], list[Problem]]:
    given = tree.children.get("prefixes")
    found: dict[str, str] = {}
    problems = []
    for prefix, node in _entries(given):
        if not isinstance(node.value, str):
            continue  # told where the file is held against its model
        found[prefix] = node.value
        wrong = problem_of(prefix, node.value)
        if wrong is not None:
            problems.append(Problem(node.place, wrong, "write it as in Turtle, such as https://example.org/ontology#"))
    return found, problems


def _entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    if node is not None and node.kind == "mapping":
        yield from ((str(name), child) for name, child in node.children.items())


def _walked(node: Node, places: Mapping[tuple[str, ...], _What], work: _Work) -> Node:
    """A node with what stands at places below it made whole; nodes are shared by trees, so none is changed."""
    if node.kind == "scalar":
        what = places.get(())
        return work.made(node, what) if what is not None else node
    children = {}
    for key, child in node.children.items():
        below = {path[1:]: what for path, what in places.items() if path and path[0] in (_ALL, key)}
        children[key] = _walked(child, below, work) if below else child
    if all(children[key] is child for key, child in node.children.items()):
        return node
    return replace(node, children=children)
