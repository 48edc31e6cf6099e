"""Objects, relations, specifications and the hierarchy as rows; a value that fits no column sets its row aside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from data_workbench.connectors.base import Rejection
from data_workbench.connectors.reqif.definitions import Attribute, Definitions
from data_workbench.connectors.reqif.document import Node, Reader, markup, plain_text

Row = dict[str, Any]
_ELEMENTS = {"objects": "SPEC-OBJECT", "relations": "SPEC-RELATION", "specifications": "SPECIFICATION"}
_TYPE_REFS = {
    "objects": "SPEC-OBJECT-TYPE-REF",
    "relations": "SPEC-RELATION-TYPE-REF",
    "specifications": "SPECIFICATION-TYPE-REF",
}
_MOMENT = pa.timestamp("us", "UTC")
COMMON = [
    pa.field("identifier", pa.string(), nullable=False),
    pa.field("type", pa.string()),
    pa.field("long_name", pa.string()),
    pa.field("description", pa.string()),
    pa.field("last_change", _MOMENT),
]
ENDS = [pa.field("source", pa.string()), pa.field("target", pa.string())]
HIERARCHY = pa.schema(
    [
        pa.field("identifier", pa.string(), nullable=False),
        pa.field("specification", pa.string()),
        pa.field("object", pa.string()),
        pa.field("parent", pa.string()),
        pa.field("parent_object", pa.string()),
        pa.field("level", pa.int64()),
        pa.field("position", pa.int64()),
        pa.field("sequence", pa.int64()),
        pa.field("last_change", _MOMENT),
    ]
)


def rows_of(
    what: str,
    blocks: Iterable[bytes],
    definitions: Definitions,
    family: str,
    name: str | None,
    columns: Mapping[tuple[str, bool], pa.Field],
    rejections: list[Rejection],
    *,
    defaults: bool,
) -> Iterator[list[Row]]:
    """Rows of one family, of the types of one name or of all; in lists, as they were read."""
    found: list[Row] = []

    def ended(node: Node) -> None:
        reference = node.first("TYPE", _TYPE_REFS[family])
        spec = definitions.types.get(reference.text.strip()) if reference is not None else None
        if spec is None:
            rejections.append(_rejection(what, node, "reqif_type", "its type is not defined in the document"))
        elif name is None or spec.name == name:
            try:
                values = _values(node, spec.attributes, definitions, columns, defaults=defaults) if name else {}
                found.append(_common(node) | {"type": spec.name} | _ends(node) | values)
            except ValueError as error:
                rejections.append(_rejection(what, node, "reqif_value", str(error)))

    collect = frozenset({_ELEMENTS[family]})
    for _ in Reader(what, collect, ended, skip=frozenset({"CHILDREN"})).run(blocks):
        yield found.copy()
        found.clear()


def _rejection(what: str, node: Node, rule: str, reason: str) -> Rejection:
    return Rejection({"document": what, "identifier": node.attributes.get("IDENTIFIER")}, rule, reason)


def _common(node: Node) -> Row:
    given = node.attributes
    if not given.get("IDENTIFIER"):
        raise ValueError("it has no identifier")
    return {
        "identifier": given["IDENTIFIER"],
        "long_name": given.get("LONG-NAME"),
        "description": given.get("DESC"),
        "last_change": _moment(given["LAST-CHANGE"]) if given.get("LAST-CHANGE") else None,
    }


def _ends(node: Node) -> Row:
    ends: dict[str, Node | None] = {name: node.first(name.upper(), "SPEC-OBJECT-REF") for name in ("source", "target")}
    return {name: end.text.strip() if end is not None else None for name, end in ends.items()}


def _values(
    node: Node,
    attributes: tuple[Attribute, ...],
    definitions: Definitions,
    columns: Mapping[tuple[str, bool], pa.Field],
    *,
    defaults: bool,
) -> Row:
    given: dict[str, Node] = {}
    for value in [one for outer in node.elements("VALUES") for one in outer.elements()]:
        reference = next(iter(value.elements("DEFINITION")), None)
        if reference is not None:
            given[reference.text.strip()] = value
    row: Row = {}
    for one in attributes:
        told = given.get(one.identifier) or (one.default if defaults else None)
        if told is None:
            continue
        try:
            read = _READ[one.kind](told, definitions)
        except ValueError as error:
            raise ValueError(f"{one.name}: {error}") from error
        if not one.many and one.kind == "ENUMERATION":
            if len(read) > 1:
                raise ValueError(f"{one.name}: {len(read)} values where one is allowed")
            read = read[0] if read else None
        column = columns[one.name, False]
        row[column.name] = str(read) if column.type == pa.string() and read is not None else read
        if one.kind == "XHTML":
            inner = told.first("THE-VALUE") or Node("", {})
            row[columns[one.name, True].name] = markup(inner)
    return row


def _told(value: Node) -> str:
    text = value.attributes.get("THE-VALUE")
    if text is None:
        inner = value.first("THE-VALUE")
        text = inner.text if inner is not None else ""
    return text


def _integer(value: Node, _: Definitions) -> int:
    number = int(_told(value).strip())
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{number} is outside the range of bigint")
    return number


def _boolean(value: Node, _: Definitions) -> bool:
    text = _told(value).strip()
    if text not in ("true", "false", "1", "0"):
        raise ValueError(f"{text[:40]!r} is no boolean")
    return text in ("true", "1")


def _moment(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text.strip())
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def _labels(value: Node, definitions: Definitions) -> list[str]:
    found = []
    for reference in value.all_below("ENUM-VALUE-REF"):
        label = definitions.labels.get(reference.text.strip())
        if label is None:
            raise ValueError(f"{reference.text.strip()[:80]!r} is no value of an enumeration")
        found.append(label)
    return found


def _xhtml(value: Node, _: Definitions) -> str:
    inner = value.first("THE-VALUE")
    return plain_text(inner) if inner is not None else _told(value)


_READ: Mapping[str, Callable[[Node, Definitions], Any]] = {
    "STRING": lambda value, _: _told(value),
    "XHTML": _xhtml,
    "INTEGER": _integer,
    "REAL": lambda value, _: float(_told(value).strip()),
    "BOOLEAN": _boolean,
    "DATE": lambda value, _: _moment(_told(value)),
    "ENUMERATION": _labels,
}


# ------------------------------------------------------------------------------------------------------ hierarchy


class _Place:
    """A specification, or a place in one, while it is open."""

    def __init__(self, attributes: dict[str, str], level: int, position: int, sequence: int) -> None:
        self.attributes, self.level, self.position, self.sequence = attributes, level, position, sequence
        self.object: str | None = None
        self.children = 0


def hierarchy_of(what: str, blocks: Iterable[bytes], rejections: list[Rejection]) -> Iterator[list[Row]]:
    """Places of objects in specifications; children come before their parents, `sequence` is the reading order."""
    found: list[Row] = []
    stack: list[_Place] = []
    count = 0

    def opened(_: str, attributes: dict[str, str]) -> None:
        nonlocal count
        above = stack[-1] if stack else None
        stack.append(_Place(attributes, len(stack), above.children if above else 0, count))
        if above is not None:
            above.children += 1
            count += 1

    def ended(node: Node) -> None:
        if stack:
            stack[-1].object = node.text.strip() or None

    def closed(_: str) -> None:
        place = stack.pop()
        if not stack:
            return
        identifier, above = place.attributes.get("IDENTIFIER"), stack[-1]
        if not identifier:
            rejections.append(Rejection({"document": what, "object": place.object}, "reqif_value", "no identifier"))
            return
        changed = place.attributes.get("LAST-CHANGE")
        try:
            moment = _moment(changed) if changed else None
        except ValueError as error:
            rejections.append(Rejection({"document": what, "identifier": identifier}, "reqif_value", str(error)))
            return
        found.append(
            {
                "identifier": identifier,
                "specification": stack[0].attributes.get("IDENTIFIER"),
                "object": place.object,
                "parent": above.attributes.get("IDENTIFIER") if len(stack) > 1 else None,
                "parent_object": above.object,
                "level": place.level,
                "position": place.position,
                "sequence": place.sequence,
                "last_change": moment,
            }
        )

    reader = Reader(
        what,
        frozenset({"SPEC-OBJECT-REF", "SPEC-OBJECT", "SPEC-RELATION"}),
        ended,
        containers=frozenset({"SPECIFICATION", "SPEC-HIERARCHY"}),
        opened=opened,
        closed=closed,
    )
    for _ in reader.run(blocks):
        yield found.copy()
        found.clear()
