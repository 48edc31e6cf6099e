"""The page "Lineage": a dataset with what it is made of to the left and what is made of it to the right.

Made on the server, with links for every step, so that it is of use without its script. The script moves between nodes
by keys, zooms, and hides what lies beyond a node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response

from data_workbench.api.pages.layering import HEIGHT, WIDTH, placed
from data_workbench.api.pages.rendering import page, trouble
from data_workbench.api.services import lineage_view as service
from data_workbench.errors import WorkbenchError
from data_workbench.metastore.lineage_facts import Name

_LONGEST = 30
"""Characters of a name that fit into a node."""
DEPTHS = {"1": 1, "2": 2, "3": 3, "5": 5, "all": None}
Text = Annotated[str | None, Query(max_length=5_000)]


@dataclass(frozen=True)
class Box:
    """A node as it is drawn."""

    node: service.Node
    x: int
    y: int
    name: str
    below: str
    title: str
    href: str | None

    @property
    def hidden(self) -> str:
        """What is not drawn, a name a line, as the script looks for it."""
        return "\n".join(f"{one.namespace}: {one.name}".replace("\n", " ").lower() for one in self.node.hidden)


@dataclass(frozen=True)
class Line:
    """An edge as it is drawn."""

    path: str
    source: int
    target: int
    kind: str


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/lineage")
    def lineage(
        ns: Text = None,
        name: Text = None,
        column: Text = None,
        q: Text = None,
        depth: str = "2",
        way: service.Way = "both",
        opened: Annotated[list[int] | None, Query(alias="open", max_length=100)] = None,
        as_of: Annotated[str | None, Query(max_length=40)] = None,
    ) -> Response:
        asked: dict[str, Any] = {
            "ns": ns,
            "name": name,
            "column": column,
            "depth": depth if depth in DEPTHS else "2",
            "way": way,
        }
        asked |= {"open": opened or [], "as_of": as_of or None}
        try:
            if ns is None or name is None:
                return _overview(q, ns)
            return _drawing(asked)
        except WorkbenchError as error:
            return trouble("Lineage", error)

    return found


def _overview(search: str | None, namespace: str | None) -> Response:
    found, count, spaces = service.overview(search or None, namespace)
    rows = [(one, _address(ns=one["namespace"], name=one["name"])) for one in found]
    return page(
        "lineage_list.html",
        script="lineage.js",
        title="Lineage",
        datasets=rows,
        count=count,
        search=search or "",
        namespace=namespace,
        namespaces=[(one, _address(ns=one["name"])) for one in spaces],
    )


def _drawing(asked: dict[str, Any]) -> Response:
    view = service.around(
        Name(asked["ns"], asked["name"]),
        column=asked["column"] or None,
        depth=DEPTHS[asked["depth"]],
        way=asked["way"],
        opened=asked["open"],
        as_of=asked["as_of"],
    )
    layout = placed([one.layer for one in view.nodes], [(one.source, one.target) for one in view.edges])
    boxes = [_box(one, *place, asked) for one, place in zip(view.nodes, layout.places, strict=True)]
    return page(
        "lineage.html",
        script="lineage.js",
        title=f"Lineage of {view.focus.name}",
        view=view,
        boxes=boxes,
        lines=[_line(one, layout.places) for one in view.edges],
        size=(layout.width, layout.height),
        box=(WIDTH, HEIGHT),
        asked=asked,
        depths=DEPTHS,
        columns=[(one, _address(**{**asked, "column": one["name"], "open": []})) for one in view.columns],
        all_columns=_address(**{**asked, "column": None, "open": []}),
        reached=[(one, hops, _address(ns=one.namespace, name=one.name)) for one, hops in view.reached],
        focus=next(number for number, one in enumerate(view.nodes) if one.is_focus),
    )


def _address(**asked: Any) -> str:
    """The page's own address, from itself."""
    given = {name: value for name, value in asked.items() if value not in (None, "", [])}
    return f"lineage?{urlencode(given, doseq=True)}"


def _box(node: service.Node, x: int, y: int, asked: dict[str, Any]) -> Box:
    if node.kind == "more":
        told = f"{len(node.hidden)} more"
        return Box(node, x, y, told, "open them all", told, _address(**{**asked, "open": [*asked["open"], node.layer]}))
    if node.kind == "job":
        href = f"pipelines/{quote(node.pipeline, safe='')}" if node.pipeline else None
        below = "pipeline" if node.pipeline else node.name.namespace
        return Box(node, x, y, _short(node.name.name), _short(below), f"{below}: {node.name.name}", href)
    below = ", ".join("all columns" if one == "*" else one for one in node.columns) or node.name.namespace
    title = f"{node.name.namespace}: {node.name.name}" + (f" ({below})" if node.columns else "")
    kept = {key: asked[key] for key in ("depth", "way", "as_of")}
    href = _address(ns=node.name.namespace, name=node.name.name, **kept)
    return Box(node, x, y, _short(node.name.name), _short(below), title, href)


def _short(text: str) -> str:
    """The end of a name says most."""
    return text if len(text) <= _LONGEST else f"…{text[-_LONGEST + 1 :]}"


def _line(edge: service.Edge, places: list[tuple[int, int]]) -> Line:
    (a, b), (c, d) = places[edge.source], places[edge.target]
    x, y, to_x, to_y = a + WIDTH, b + HEIGHT // 2, c, d + HEIGHT // 2
    bend = max(30, abs(to_x - x) // 2)
    kind = "back" if to_x <= a else ""
    path = f"M{x},{y} C{x + bend},{y} {to_x - bend},{to_y} {to_x},{to_y}"
    return Line(path, edge.source, edge.target, f"{kind} hot".strip() if edge.hot else kind)
