"""Puts YAML trees together, and values in the places of variables. Every value keeps the place it was written at.

Nothing is ever pasted into text and read again: a value that came from somewhere else is a node of that tree.
"""

from __future__ import annotations

from collections.abc import Mapping

from data_workbench.language.yaml_tree import Node, Place, Problem

VARIABLE, TEXT = "$var", "$text"


class Ungraftable(Exception):
    """A variable or text of a template cannot be made; `problem` says what and where."""

    def __init__(self, place: Place, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(place, message, hint)


def merged(over: Node, under: Node | None) -> Node:
    """Mappings key by key, what stands over goes first; of anything else, what stands over."""
    if under is None or over.kind != "mapping" or under.kind != "mapping":
        return over
    entries = dict(under.children)
    keys = dict(under.keys)
    for key, child in over.children.items():
        entries[key] = merged(child, entries.get(key))
        keys[key] = over.keys.get(key, child.place)
    return mapping(over.place, entries, keys)


def mapping(place: Place, entries: Mapping[str | int, Node], keys: Mapping[str | int, Place]) -> Node:
    """A mapping of nodes that stand elsewhere already."""
    return _sized(Node("mapping", place, children=dict(entries), keys=dict(keys)))


def without(node: Node, *names: str) -> Node:
    """A mapping without these keys."""
    if not any(name in node.children for name in names):
        return node
    kept = {key: child for key, child in node.children.items() if key not in names}
    return mapping(node.place, kept, {key: place for key, place in node.keys.items() if key not in names})


def bound(node: Node, values: Mapping[str, Node], most: int) -> Node:
    """The tree with values in the places of `{$var: NAME}` and `{$text: […]}`.

    Args:
        most: nodes that may come of it, counted with what is repeated.

    Raises:
        Ungraftable: an unknown variable, a text of something that is no text, or too much.
    """
    if node.kind == "scalar":
        return node
    if node.kind == "mapping" and {VARIABLE, TEXT} & set(node.children):
        return _value(node, values)
    children = {key: bound(child, values, most) for key, child in node.children.items()}
    made = _sized(Node(node.kind, node.place, children=children, keys=node.keys))
    if made.size > most:
        raise Ungraftable(node.place, f"more than {most} values come of the template", "give it less, or split it")
    return made


def _value(node: Node, values: Mapping[str, Node]) -> Node:
    [*names] = node.children
    if len(names) > 1:
        hint = "{$var: NAME} and {$text: […]} stand for a whole value"
        raise Ungraftable(node.place, f"{VARIABLE if VARIABLE in names else TEXT} stands beside other keys", hint)
    child = node.children[names[0]]
    if names[0] == VARIABLE:
        return _variable(child, values)
    if child.kind != "list" or not child.children:
        raise Ungraftable(child.place, f"{TEXT} takes a list of texts and variables")
    return Node("scalar", node.place, "".join(_piece(one, values) for one in child.children.values()), style='"')


def _variable(child: Node, values: Mapping[str, Node]) -> Node:
    if child.kind != "scalar" or child.value not in values:
        known = ", ".join(values) or "none"
        what = repr(child.value) if child.kind == "scalar" else f"a {child.kind}"
        raise Ungraftable(child.place, f"the template has no variable {what}", f"its variables: {known}")
    return values[str(child.value)]


def _piece(node: Node, values: Mapping[str, Node]) -> str:
    found = _value(node, values) if node.kind == "mapping" and VARIABLE in node.children else node
    if found.kind != "scalar" or isinstance(found.value, bool) or not isinstance(found.value, str | int):
        raise Ungraftable(node.place, f"{TEXT} is made of texts and whole numbers")
    return str(found.value)


def _sized(node: Node) -> Node:
    node.size = 1 + sum(child.size for child in node.children.values())
    node.height = 1 + max((child.height for child in node.children.values()), default=-1)
    return node
