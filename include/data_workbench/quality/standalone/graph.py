"""Checks of a graph as Cypher: each finds the nodes or relationships that break it."""

from __future__ import annotations

from typing import Literal

from data_workbench.quality.standalone.finders import GraphFinder
from data_workbench.quality.standalone.kinds import EndsCheck, PathCheck, RelationshipCheck
from data_workbench.quality.standalone.model import Check, StandaloneContract
from data_workbench.records.marks import PREFIX

_NODE = "n {.*, _element_id: elementId(n), _labels: labels(n)}"
_PAIR = (
    "{_element_id: elementId(r), _start: properties(a), _start_labels: labels(a), "
    "_end: properties(b), _end_labels: labels(b)}"
)


def named(name: str) -> str:
    """A label, type or property for Cypher."""
    return "`" + name.replace("`", "``") + "`"


def compile_graph(contract: StandaloneContract, check: Check) -> list[GraphFinder]:
    """The finders of a check; `acyclic` has none, since no pattern finds a cycle of any length in bounded time."""
    level = check.severity or contract.severity
    label = f"(n:{named(contract.stream)})"
    match check:
        case Check(relationship=RelationshipCheck() as wanted):
            return _relationship(check.title, label, wanted, level)
        case Check(path=PathCheck() as wanted):
            way = _arrow("|".join(map(named, wanted.types)) + f"*1..{wanted.within:d}", wanted.direction)
            broken = f"NOT n:{named(wanted.to)} AND NOT EXISTS {{ (n){way}(:{named(wanted.to)}) }}"
        case Check(connected=True):
            broken = "NOT EXISTS { (n)--() }"
        case Check(labels=list() as allowed):
            return [_listed(check.title, label, "labels(n)", [contract.stream, *allowed], level)]
        case Check(properties=list() as allowed):
            return [_listed(check.title, label, "keys(n)", allowed, level)]
        case Check(ends=EndsCheck() as ends):
            broken = f"NOT ({_any('a', ends.from_)}) OR NOT ({_any('b', ends.to)})"
            return [GraphFinder(check.title, f"{_pairs(contract.stream)} WHERE {broken}", _PAIR, level)]
        case Check(simple=True):
            kind = named(contract.stream[2:-1])
            twice = f"EXISTS {{ (a)-[s:{kind}]->(b) WHERE elementId(s) < elementId(r) }}"
            return [GraphFinder(check.title, f"{_pairs(contract.stream)} WHERE a = b OR {twice}", _PAIR, level)]
        case _:
            return []
    return [GraphFinder(check.title, f"MATCH {label} WHERE {broken}", _NODE, level)]


def cycle_finder(contract: StandaloneContract, check: Check, nodes: list[int]) -> GraphFinder:
    """The nodes that were found on a cycle, by their numbers."""
    pattern = f"MATCH (n:{named(contract.stream)}) WHERE toInteger(split(elementId(n), ':')[2]) IN $nodes"
    return GraphFinder(check.title, pattern, _NODE, check.severity or contract.severity, {"nodes": nodes})


def _relationship(
    title: str, label: str, wanted: RelationshipCheck, level: Literal["fail", "warn"]
) -> list[GraphFinder]:
    arrow = _arrow(named(wanted.type), wanted.direction)
    allowed = f" WHERE {_any('m', wanted.to)}" if wanted.to else ""
    counted = f"COUNT {{ (n){arrow}(m){allowed} }}"
    conditions = [f"{counted} < {wanted.min:d}"] if wanted.min else []
    conditions += [f"{counted} > {wanted.max:d}"] if wanted.max is not None else []
    found = []
    if conditions:
        found.append(GraphFinder(title, f"MATCH {label} WHERE {' OR '.join(conditions)}", _NODE, level))
    if wanted.to:
        strange = f"EXISTS {{ (n){arrow}(m) WHERE NOT ({_any('m', wanted.to)}) }}"
        found.append(GraphFinder(f"{title}: labels", f"MATCH {label} WHERE {strange}", _NODE, level))
    return found


def _listed(title: str, label: str, values: str, allowed: list[str], level: Literal["fail", "warn"]) -> GraphFinder:
    broken = f"any(one IN {values} WHERE NOT one IN $allowed AND NOT one STARTS WITH '{PREFIX}')"
    return GraphFinder(title, f"MATCH {label} WHERE {broken}", _NODE, level, {"allowed": allowed})


def _pairs(stream: str) -> str:
    return f"MATCH (a)-[r:{named(stream[2:-1])}]->(b)"


def _any(variable: str, labels: list[str]) -> str:
    return " OR ".join(f"{variable}:{named(one)}" for one in labels)


def _arrow(inside: str, direction: str) -> str:
    return {"out": f"-[:{inside}]->", "in": f"<-[:{inside}]-", "any": f"-[:{inside}]-"}[direction]
