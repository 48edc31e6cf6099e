"""Reads YAML 1.2 into plain values that know where they stand in the file.

Built on the parser's events, so that size, depth, aliases, tags and duplicate keys are dealt with before anything is
constructed. Plain scalars follow the core schema of YAML 1.2: `on`, `yes` and dates are text.
https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

DEEPEST = 24
MOST_NODES = 20_000
_MOST_ALIASES = 100
_MOST_DIGITS = 40

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

Path = tuple[str | int, ...]
"""Keys and positions from the top of a file down to a value."""


@dataclass(frozen=True)
class Place:
    """Line and column, counted from 1; the file, where it is not the one that was asked for."""

    line: int
    column: int
    file: str = ""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the text itself."""

    place: Place
    message: str
    hint: str | None = None


class Unreadable(Exception):
    """The text is no YAML that could be a pipeline; nothing beyond `problems` can be told."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems[0].message)
        self.problems = list(problems)


@dataclass(eq=False)
class Node:
    """A value with its place; `children` of a mapping are its entries by key, of a list by position."""

    kind: str
    place: Place
    value: Any = None
    raw: str = ""
    children: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str | int, Place] = field(default_factory=dict)
    size: int = 1
    height: int = 0
    style: str = ""

    def plain(self) -> Any:
        """The value without places."""
        if self.kind == "mapping":
            return {key: child.plain() for key, child in self.children.items()}
        if self.kind == "list":
            return [child.plain() for child in self.children.values()]
        return self.value

    def find(self, path: Path) -> Node | None:
        """The node at a path, if there is one."""
        node: Node | None = self
        for part in path:
            node = node.children.get(part) if node is not None else None
        return node

    def locate(self, path: Path, *, key: bool = False) -> Place:
        """Where a path's value stands: a scalar itself, the key of a mapping or list; the nearest parent if absent."""
        node, place = self, self.place
        for part in path:
            child = node.children.get(part)
            if child is None:
                break
            at_key = node.keys.get(part)
            place = child.place if at_key is None or (child.kind == "scalar" and not key) else at_key
            node = child
        return place

    def locate_inside(self, path: Path, line: int, column: int) -> Place:
        """Where a place within a text value stands in the file, as far as the way it is written lets us tell."""
        node = self.find(path)
        if node is None or node.kind != "scalar":
            return self.locate(path)
        if node.style == "|":
            return _inside_block(node, line, column)
        bare = node.raw[1:-1] if node.style in ("'", '"') else node.raw
        if bare != node.value or "\n" in bare:
            return node.place
        after = node.place.column + column - 1 + (1 if node.style else 0)
        return Place(node.place.line, after, node.place.file)


def _inside_block(node: Node, line: int, column: int) -> Place:
    shown, meant = node.raw.split("\n"), node.value.split("\n")
    if line >= len(shown) or line > len(meant):
        return node.place
    indent = len(shown[line]) - len(meant[line - 1])
    return Place(node.place.line + line, max(indent, 0) + column, node.place.file)


def read_tree(text: str, *, file: str = "") -> tuple[Node, list[Problem]]:
    """Read one YAML document whose top is a mapping, with the problems that leave it readable.

    Args:
        file: what places name, where the text becomes part of another file's tree.

    Raises:
        Unreadable: syntax, limits, tags, several documents, or a top that is no mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    builder = TreeBuilder(text, file)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except MarkedYAMLError as error:
        raise Unreadable(_syntax(error, text)) from None
    except YAMLError as error:
        raise Unreadable(_character(error, text)) from None
    except (ValueError, IndexError, RecursionError, AttributeError, TypeError) as error:
        # The scanner trips over some malformed directives and escapes instead of naming them.
        raise Unreadable(Problem(Place(1, 1), f"this is not YAML ({type(error).__name__})")) from None
    if builder.root is None:
        raise Unreadable(Problem(Place(1, 1), "the file is empty", "begin with version: 1 and pipeline: NAME"))
    if builder.root.kind != "mapping":
        what = "a list" if builder.root.kind == "list" else "a single value"
        raise Unreadable(
            Problem(builder.root.place, f"the file holds {what}", "a pipeline file holds keys: version, pipeline, …")
        )
    return builder.root, builder.problems


class TreeBuilder:
    """Makes nodes from a parser's events, one at a time; ruamel's and libyaml's have the same names."""

    def __init__(self, text: str, file: str = "") -> None:
        self.text = text
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._open: list[Node] = []
        self._pending: list[tuple[str, Place] | None] = []
        self._anchors: dict[str, Node] = {}
        self._unfinished: set[int] = set()
        self._documents = self._aliases = self._nodes = 0

    def take(self, event: Any) -> None:
        """Take the next event. Raises Unreadable for what no pipeline has: tags, loops, too much of anything."""
        kind = type(event).__name__
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1, self.file)
        if kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                raise Unreadable(Problem(place, "a second document begins here", "put each into a file of its own"))
        elif kind == "AliasEvent":
            node = self._resolve(event.anchor, place)
            self._add(node, place, cost=node.size)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._begin(Node("mapping" if kind.startswith("M") else "list", place), event, place)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._end()
        elif kind == "ScalarEvent":
            self._scalar(event, place)

    def _scalar(self, event: Any, place: Place) -> None:
        self._refuse_tag(event, place)
        style = event.style or ""
        raw = self.text[event.start_mark.index : event.end_mark.index]
        if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in event.value):
            raise Unreadable(Problem(place, "this text holds a NUL or half a surrogate pair", "remove the escape"))
        node = Node("scalar", place, event.value, raw, style=style)
        is_key = self._open and self._open[-1].kind == "mapping" and self._pending[-1] is None
        if not style and not is_key:
            node.value = self._resolve_plain(event.value, place)
        self._remember(event, node)
        self._add(node, place)

    def _resolve_plain(self, written: str, place: Place) -> Any:
        if written in _NULLS:
            return None
        if written in _BOOLEANS:
            return _BOOLEANS[written]
        if _INTEGER.fullmatch(written):
            if len(written) > _MOST_DIGITS:
                raise Unreadable(Problem(place, f"a number of {len(written)} digits", "quote it if it is a text"))
            return int(written, 0) if written[:2] in ("0o", "0x") else int(written)
        if _FLOAT.fullmatch(written):
            return float(written.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return written

    def _begin(self, node: Node, event: Any, place: Place) -> None:
        self._refuse_tag(event, place)
        if len(self._open) >= DEEPEST:
            raise _too_deep(place)
        self._remember(event, node)
        self._unfinished.add(id(node))
        self._open.append(node)
        self._pending.append(None)

    def _end(self) -> None:
        node = self._open.pop()
        self._pending.pop()
        self._unfinished.discard(id(node))
        self._add(node, node.place)

    def _add(self, node: Node, place: Place, cost: int = 1) -> None:
        self._nodes += cost
        if self._nodes > MOST_NODES:
            raise Unreadable(Problem(place, f"more than {MOST_NODES} values", "split the pipeline"))
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if len(self._open) + node.height > DEEPEST:
            raise _too_deep(place)
        if parent.kind == "list":
            parent.children[len(parent.children)] = node
        elif self._pending[-1] is None:
            self._pending[-1] = self._key(node, place)
        else:
            self._entry(parent, node)

    def _key(self, node: Node, place: Place) -> tuple[str, Place]:
        if node.kind != "scalar":
            raise Unreadable(Problem(place, "a key is a word, not a list or mapping", "is a value missing its quotes?"))
        return str(node.value), place

    def _entry(self, parent: Node, node: Node) -> None:
        pending = self._pending[-1]
        assert pending is not None
        key, place = pending
        self._pending[-1] = None
        if key in parent.keys:
            first = parent.keys[key]
            self.problems.append(
                Problem(place, f"key {key!r} stands here again; it is at {first.line}:{first.column} already")
            )
            return
        parent.keys[key] = place
        parent.children[key] = node

    def _remember(self, event: Any, node: Node) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = node

    def _resolve(self, anchor: str, place: Place) -> Node:
        self._aliases += 1
        node = self._anchors.get(anchor)
        if node is None:
            raise Unreadable(Problem(place, f"alias *{anchor} has no anchor &{anchor} before it"))
        if id(node) in self._unfinished:
            raise Unreadable(Problem(place, f"alias *{anchor} stands inside what it names"))
        if self._aliases > _MOST_ALIASES:
            raise Unreadable(Problem(place, f"more than {_MOST_ALIASES} aliases"))
        return node

    def _refuse_tag(self, event: Any, place: Place) -> None:
        if event.tag is not None:
            raise Unreadable(Problem(place, f"tag {str(event.tag)[:80]!r}: tags are not read", "leave it out"))


# ------------------------------------------------------------------------------------------------------ words


def _too_deep(place: Place) -> Unreadable:
    return Unreadable(Problem(place, f"nested more than {DEEPEST} deep", "a pipeline file needs fewer than 12"))


def _syntax(error: Any, text: str) -> Problem:
    is_unclosed = any(words in str(error.problem) for words in ("end of stream", "<stream end>"))
    mark = (error.context_mark if is_unclosed else None) or error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    problem = str(error.problem or error.context or "")
    if "'\\t'" in problem or _is_tab(text, place):
        return Problem(place, "a tab stands in the indentation", "indent with spaces")
    for seen, message, hint in _WORDS:
        if seen in problem:
            return Problem(place, message, hint)
    context = f" {error.context}" if error.context else ""
    return Problem(place, f"this is not YAML: {problem}{context}", None)


_WORDS: tuple[tuple[str, str, str | None], ...] = (
    ("mapping values are not allowed here", "a ':' stands where no key can be", "quote the text, or check the indent"),
    ("found unexpected end of stream", "a quote is opened here and never closed", None),
    ("expected <block end>", "the indentation does not fit what stands above", "align it with its neighbours"),
    ("could not find expected ':'", "a key without its ':' ends before here", "check the indentation"),
    ("but got '<stream end>'", "a bracket is opened here and never closed", None),
    ("that cannot start any token", "a text cannot begin with this character", "quote it"),
    ("found unknown escape character", "unknown escape in a double-quoted text", "use single quotes, or double the \\"),
    ("found duplicate anchor", "this anchor stands in the file already", None),
)


def _is_tab(text: str, place: Place) -> bool:
    lines = text.split("\n")
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    return line[: place.column].rstrip(" ").endswith("\t") or line[place.column - 1 : place.column] == "\t"


def _character(error: Any, text: str) -> Problem:
    position = getattr(error, "position", None)
    offset = position if isinstance(position, int) else 0
    before = text[:offset]
    place = Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    letter = text[offset : offset + 1]
    code = f"U+{ord(letter):04X}" if letter else "a control character"
    return Problem(place, f"{code} cannot stand in a file of definitions", "remove it")
