"""A ReqIF document element by element, in memory for one of them: no entities, no DOCTYPE, sizes capped.

Elements are known by their local names, whatever prefix a tool gives the namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from data_workbench.errors import ResourceExhausted, SchemaConflict, Unsupported

_DEEPEST = 200
_LARGEST = 64 * 1024**2
_NAMESPACE = "http://www.omg.org/spec/ReqIF/"
_BREAKS = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "pre"})


@dataclass(slots=True)
class Node:
    """An element with what is in it."""

    name: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    def elements(self, name: str | None = None) -> list[Node]:
        """Child elements, of one name or all."""
        return [one for one in self.children if isinstance(one, Node) and name in (None, one.name)]

    def all_below(self, name: str) -> list[Node]:
        """Elements of a name at any depth."""
        found = []
        for one in self.elements():
            found += [one] if one.name == name else one.all_below(name)
        return found

    @property
    def text(self) -> str:
        """All text in it."""
        return "".join(one if isinstance(one, str) else one.text for one in self.children)

    def first(self, *path: str) -> Node | None:
        """The first element at a path of names."""
        here: Node | None = self
        for name in path:
            here = next(iter(here.elements(name)), None) if here is not None else None
        return here


def plain_text(node: Node) -> str:
    """XHTML as text: blocks are lines, white space is one space, a picture is its description."""
    pieces: list[str] = []
    _plain(node, pieces)
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return "\n".join(line for line in lines if line)


def _plain(node: Node, pieces: list[str]) -> None:
    for one in node.children:
        if isinstance(one, str):
            pieces.append(one.replace("\n", " "))
            continue
        if one.name in _BREAKS:
            pieces.append("\n")
        _plain(one, pieces)
        if one.name in _BREAKS:
            pieces.append("\n")


def markup(node: Node) -> str:
    """What is inside an element as XHTML, without prefixes."""
    return "".join(escape(one) if isinstance(one, str) else _tagged(one) for one in node.children).strip()


def _tagged(node: Node) -> str:
    told = "".join(f" {name}={quoteattr(value)}" for name, value in node.attributes.items())
    inner = markup(node) if any(not isinstance(one, str) for one in node.children) else escape(node.text)
    return f"<{node.name}{told}>{inner}</{node.name}>" if node.children else f"<{node.name}{told}/>"


class Reader:
    """Feeds a document through a parser, and tells of elements as they end.

    Args:
        collect: names of elements that are handed over whole.
        ended: told of each of these.
        skip: elements inside them that are left out.
        opened, closed: told of elements in `containers`, which are not kept.
    """

    def __init__(
        self,
        what: str,
        collect: frozenset[str],
        ended: Callable[[Node], None],
        *,
        skip: frozenset[str] = frozenset(),
        containers: frozenset[str] = frozenset(),
        opened: Callable[[str, dict[str, str]], None] | None = None,
        closed: Callable[[str], None] | None = None,
    ) -> None:
        self._what, self._collect, self._ended = what, collect, ended
        self._containers, self._opened, self._closed = containers, opened, closed
        self._open: list[Node] = []
        self._skip, self._skipped = skip, 0
        self._depth = self._size = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        self._parser = parser

    def run(self, blocks: Iterable[bytes]) -> Iterable[None]:
        """Parse block by block; what ended in a block has been told when it yields.

        Raises:
            SchemaConflict: it is no XML, or no ReqIF.
            Unsupported: it declares entities.
            ResourceExhausted: an element is too large or too deep.
        """
        try:
            for block in blocks:
                self._parser.Parse(block, False)
                yield
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise SchemaConflict(
                f"{self._what}: {expat.ErrorString(error.code)}, line {error.lineno}",
                hint="the document is damaged, or no XML",
            ) from error
        yield

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if self._depth == 0 and not (local == "REQ-IF" and (not space or space.startswith(_NAMESPACE))):
            raise SchemaConflict(
                f"{self._what}: its root is {local!r} of namespace {space!r}, not ReqIF's REQ-IF",
                hint="RIF files of ReqIF's predecessor are not read",
            )
        self._depth += 1
        if self._skipped or (self._open and local in self._skip):
            self._skipped += 1
            return
        if self._depth > _DEEPEST:
            raise ResourceExhausted(f"{self._what}: elements are nested more than {_DEEPEST} deep")
        if self._open or local in self._collect:
            node = Node(local, {key.rpartition(" ")[2]: value for key, value in attributes.items()})
            self._grow(len(name) + sum(map(len, attributes.values())) + 64)
            if self._open:
                self._open[-1].children.append(node)
            self._open.append(node)
        elif local in self._containers and self._opened is not None:
            self._opened(local, attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._skipped:
            self._skipped -= 1
            return
        local = name.rpartition(" ")[2]
        if self._open:
            node = self._open.pop()
            if not self._open:
                self._size = 0
                self._ended(node)
        elif local in self._containers and self._closed is not None:
            self._closed(local)

    def _text(self, text: str) -> None:
        if self._open and not self._skipped:
            self._grow(len(text))
            self._open[-1].children.append(text)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > _LARGEST:
            raise ResourceExhausted(f"{self._what}: one element holds more than {_LARGEST} characters")

    def _refuse(self, *_: Any) -> None:
        raise Unsupported(f"{self._what} has a DOCTYPE, and may declare entities", hint="no ReqIF tool writes one")
