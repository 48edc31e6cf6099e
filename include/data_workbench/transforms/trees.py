"""The step that rolls values up or down a tree: hierarchy. Each row keeps its place and gets values of all rows below
it, or above it, itself among them.

Who is below whom is found level by level (`close_tree`), so that a ring of rows ends the search instead of the memory.
A row that a second way leads to counts once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from data_workbench.errors import ResourceExhausted
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.drafts import Case, Column, Compilation, Draft, Shape, failure, verdict
from data_workbench.transforms.folds import in_order
from data_workbench.transforms.grouping import Take, take_of
from data_workbench.transforms.plan import ALIVE, STATUS, Action, Origin
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_tables import Hierarchy
from data_workbench.transforms.text import HIDDEN, listing, next_segment
from data_workbench.transforms.verbs import as_type, distinct_names, known

if TYPE_CHECKING:
    import duckdb

_NAMED = 1000
"""Rows whose ring is told by its names; of more, only that there is one."""
_SHOWN = 20


def roll_up(build: Compilation, step: Step, shape: Shape, source: str, others: Mapping[str, Shape]) -> Draft:
    """All rows, with what is folded of those below or above."""
    rule = step.hierarchy
    assert rule is not None
    known(step.name, [rule.key, *([rule.parent] if rule.parent else [])], shape, "hierarchy")
    distinct_names(step.name, dict.fromkeys([*shape.columns, *rule.made]))
    takes = [
        take_of(build, step.name, shape, source, name, text, [], what=f"hierarchy {name}")
        for name, text in rule.take.items()
    ]
    tree = _Tree(step.name, rule, shape, source)
    links = _links(step.name, rule, others)
    prepare = [
        Action("sql", tree.rows_made()),
        Action("sql", tree.edges_made(others)),
        *(Action("sql", sql) for sql in tree.emptied()),
        Action("closure", f"SELECT count(*) FROM {tree.pairs}", tree.arguments()),
        tree.fold(step.name, takes),
    ]
    if rule.cycles == "fail":
        prepare.insert(-1, _refusal(step.name, tree))
    decided = (
        *shape.origins_of([rule.key, *([rule.parent] if rule.parent else [])], "CONDITIONAL", "hierarchy"),
        *links,
    )
    columns = dict(shape.columns)
    for take in takes:
        columns[take.name] = Column(take.type, None, tuple(dict.fromkeys((*take.origins, *decided))))
    if rule.depth:
        columns[rule.depth] = Column("BIGINT", None, decided)
    code = build.drop(step.name, "quarantined", "hierarchy")
    out = Shape(
        columns,
        shape.key,
        shape.key_is_unique,
        (*shape.conditions, *decided),
        shape.marks or build.holds,
    )
    reason = f"{literal(f'{rule.key} is its own ancestor: ')} || _wb_ring"
    cases: list[Case] = [("_wb_ring IS NOT NULL", code, f"[{failure('hierarchy', reason)}]")]
    made = [f"t.{quoted(name)}" if name in rule.made else f"f.{quoted(name)}" for name in columns]
    frame = (
        f"(SELECT {', '.join([*made, *(f'f.{name}' for name in HIDDEN)])}, r.ring AS _wb_ring FROM {source} f "
        f"LEFT JOIN {tree.folded} t ON f.{ORDINAL} = t._wb_at LEFT JOIN {tree.rings} r ON f.{ORDINAL} = r._wb_at)"
    )
    return Draft(step.name, out, verdict(out, frame, cases, hold=build.holds, told=shape), prepare=prepare)


def _links(step: str, rule: Hierarchy, others: Mapping[str, Shape]) -> tuple[Origin, ...]:
    """Where the edges come from, if they are rows of their own."""
    if rule.edges is None:
        return ()
    other = others[rule.edges.with_]
    known(step, [rule.edges.child, rule.edges.parent], other, "hierarchy edges")
    return other.origins_of([rule.edges.child, rule.edges.parent], "CONDITIONAL", "hierarchy")


class _Tree:
    """The tables of one step: its live rows, edges, pairs of ancestor and descendant, rings, and folded values."""

    def __init__(self, step: str, rule: Hierarchy, shape: Shape, source: str) -> None:
        self.rule, self.shape, self.source = rule, shape, source
        names = ("tree", "edges", "pairs", "rings", "folded")
        self.rows, self.edges, self.pairs, self.rings, self.folded = (quoted(f"{name}_{step}") for name in names)

    def rows_made(self) -> str:
        kept = f"SELECT {listing(self.shape.columns)}, {ORDINAL} FROM {self.source} WHERE {STATUS} = {ALIVE}"
        return f"CREATE OR REPLACE TEMP TABLE {self.rows} AS {kept}"

    def edges_made(self, others: Mapping[str, Shape]) -> str:
        """Each edge once, by the ordinals of its ends."""
        key, kind = quoted(self.rule.key), self.shape.columns[self.rule.key].type
        if self.rule.parent is not None:
            parent = as_type(f"c.{quoted(self.rule.parent)}", self.shape.columns[self.rule.parent].type, kind)
            joined = f"{self.rows} c JOIN {self.rows} p ON {parent} = p.{key}"
        else:
            assert self.rule.edges is not None
            name, edges = self.rule.edges.with_, self.rule.edges
            links = next_segment(name, list(others[name].columns))
            child, parent = (
                as_type(f"e.{quoted(end)}", others[name].columns[end].type, kind) for end in (edges.child, edges.parent)
            )
            joined = (
                f"(SELECT * FROM {links} WHERE {STATUS} = {ALIVE}) e JOIN {self.rows} c ON {child} = c.{key} "
                f"JOIN {self.rows} p ON {parent} = p.{key}"
            )
        sql = f"SELECT DISTINCT p.{ORDINAL} AS up, c.{ORDINAL} AS down FROM {joined}"
        return f"CREATE OR REPLACE TEMP TABLE {self.edges} AS {sql}"

    def emptied(self) -> tuple[str, str]:
        """The tables that `close_tree` fills."""
        return (
            f"CREATE OR REPLACE TEMP TABLE {self.pairs} (up BIGINT, down BIGINT, near BIGINT)",
            f"CREATE OR REPLACE TEMP TABLE {self.rings} (_wb_at BIGINT, ring VARCHAR)",
        )

    def arguments(self) -> dict[str, str]:
        return {
            "rows": self.rows,
            "edges": self.edges,
            "pairs": self.pairs,
            "rings": self.rings,
            "key": quoted(self.rule.key),
        }

    def fold(self, step: str, takes: list[Take]) -> Action:
        """The values of each row, of the nearest rows first where order matters."""
        query = self._folded(takes, {name: column.type for name, column in self.shape.columns.items()})
        told = {take.name: f"{take.what}: {take.text}" for take in takes}
        arguments = {"step": step, "rest": "a value of the tree", "query": query, "columns": told}
        return Action("sql", f"CREATE OR REPLACE TEMP TABLE {self.folded} AS {query}", arguments)

    def _folded(self, takes: list[Take], types: Mapping[str, str]) -> str:
        at, other = ("up", "down") if self.rule.direction == "up" else ("down", "up")
        members = (
            f"SELECT p.{at} AS _wb_at, {listing(self.shape.columns, 't')}, "
            f"row_number() OVER (ORDER BY p.near, t.{ORDINAL}) AS {ORDINAL} "
            f"FROM {self.pairs} p JOIN {self.rows} t ON p.{other} = t.{ORDINAL}"
        )
        values = [f"CAST({in_order(take.tree, types)} AS {take.type}) AS {quoted(take.name)}" for take in takes]
        sql = f"SELECT {', '.join(['_wb_at', *values])} FROM ({members}) GROUP BY _wb_at"
        if self.rule.depth:
            depth = f"SELECT down AS _wb_at, max(near) AS {quoted(self.rule.depth)} FROM {self.pairs} GROUP BY down"
            sql = f"SELECT * FROM ({sql}) JOIN ({depth}) USING (_wb_at)"
        return sql


def _refusal(step: str, tree: _Tree) -> Action:
    arguments = {
        "node": step,
        "rules": ["hierarchy"],
        "on_invalid": "fail",
        "is_step": True,
        "hint": "correct them at the source, or write cycles: quarantine",
    }
    return Action("count_rules", f"SELECT count(*), min(ring) FROM {tree.rings}", arguments)


# ------------------------------------------------------------------------------------------------------- the closure


def close_tree(engine: duckdb.DuckDBPyConnection, action: Action, step: str, *, limit: int) -> None:
    """Find all pairs of a row and one below it, and the rows that are below themselves.

    Rows of a ring are below nobody, and nobody is below them: they are set aside.

    Raises:
        ResourceExhausted: there are more pairs than `limit`.
    """
    tables = action.arguments
    pairs, edges, rings = tables["pairs"], tables["edges"], tables["rings"]
    if not _closed(engine, tables, step, limit):
        return
    _name_rings(engine, tables)
    ringed = f"IN (SELECT _wb_at FROM {rings})"
    engine.execute(f"DELETE FROM {edges} WHERE up {ringed} OR down {ringed}")
    engine.execute(f"DELETE FROM {pairs}")
    _closed(engine, tables, step, limit)
    engine.execute(f"DELETE FROM {pairs} WHERE up {ringed}")


def _closed(engine: duckdb.DuckDBPyConnection, tables: Mapping[str, str], step: str, limit: int) -> int:
    """Fill the pairs, each with its shortest way; how many rows were found to be below themselves."""
    pairs, edges, rows, rings = (tables[name] for name in ("pairs", "edges", "rows", "rings"))
    engine.execute(f"INSERT INTO {pairs} SELECT {ORDINAL}, {ORDINAL}, 0 FROM {rows}")
    level = 0
    while True:
        further = f"SELECT DISTINCT p.up, e.down FROM {pairs} p JOIN {edges} e ON p.down = e.up WHERE p.near = {level}"
        engine.execute(
            f"INSERT INTO {rings} SELECT up, NULL FROM ({further}) WHERE up = down "
            f"AND up NOT IN (SELECT _wb_at FROM {rings})"
        )
        new = f"SELECT * FROM ({further}) n ANTI JOIN {pairs} k ON n.up = k.up AND n.down = k.down"
        engine.execute(f"INSERT INTO {pairs} SELECT up, down, {level + 1} FROM ({new})")
        added, total = engine.execute(f"SELECT count(*) FILTER (near = {level + 1}), count(*) FROM {pairs}").fetchall()[
            0
        ]
        if int(total) > limit:
            raise ResourceExhausted(
                f"step {step!r}: hierarchy would make more than {limit} pairs of a row and one below it",
                hint="a tree has as many as its rows have ancestors; raise WORKBENCH_MAX_JOIN_ROWS",
            )
        if not added:
            return int(engine.execute(f"SELECT count(*) FROM {rings}").fetchall()[0][0])
        level += 1


def _name_rings(engine: duckdb.DuckDBPyConnection, tables: Mapping[str, str]) -> None:
    """Tell of each row of a ring which one it is."""
    rows, edges, rings, key = (tables[name] for name in ("rows", "edges", "rings", "key"))
    engine.execute(f"UPDATE {rings} SET ring = 'in a ring of rows'")
    among = f"IN (SELECT _wb_at FROM {rings} ORDER BY _wb_at LIMIT {_NAMED})"
    found = engine.execute(f"SELECT up, down FROM {edges} WHERE up {among} AND down {among} ORDER BY 1, 2").fetchall()
    names = dict(
        engine.execute(f"SELECT {ORDINAL}, CAST({key} AS VARCHAR) FROM {rows} WHERE {ORDINAL} {among}").fetchall()
    )
    parents: dict[int, list[int]] = {}
    for up, down in found:
        parents.setdefault(down, []).append(up)
    told = [[" → ".join(_short([names[one] for one in ring])), at] for at in names if (ring := _ring(at, parents))]
    if told:
        engine.executemany(f"UPDATE {rings} SET ring = ? WHERE _wb_at = ?", told)


def _ring(at: int, parents: Mapping[int, list[int]]) -> list[int]:
    """The shortest way from a row up to itself; empty if it leads beyond what is known."""
    before: dict[int, int] = {}
    waiting = deque([at])
    while waiting:
        one = waiting.popleft()
        for parent in parents.get(one, ()):
            if parent == at:
                way = [one]
                while way[-1] != at:
                    way.append(before[way[-1]])
                return [*reversed(way), at]
            if parent not in before:
                before[parent] = one
                waiting.append(parent)
    return []


def _short(names: list[str]) -> list[str]:
    return names if len(names) <= _SHOWN else [*names[: _SHOWN - 1], "…", names[-1]]
