"""What came out held against what was expected, told so that a reader sees the difference at a glance."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from data_workbench.pipelines.testing.given import Unfit, typed_table
from data_workbench.pipelines.testing.spec import ExpectedRecord
from data_workbench.records.names import near_names
from data_workbench.records.types import native_type
from data_workbench.records.values import rows_of

MOST_TOLD = 20
"""Differences told of one node."""
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Difference:
    """One thing that is not as expected; `path` leads below the test's `expect`."""

    path: Path
    message: str


# ------------------------------------------------------------------------------------------------------------- rows


def compare_rows(path: Path, node: str, expected: Sequence[Mapping[str, Any]], found: pa.Table) -> list[Difference]:
    """Rows in any order, in the columns that expected rows name; a column that one of them leaves out is null in it."""
    columns = list(dict.fromkeys(name for row in expected for name in row))
    for at, row in enumerate(expected):
        for name in row:
            if name not in found.schema.names:
                message = f"{node} has no column {name!r} ({near_names(name, found.schema.names)})"
                return [Difference((*path, at, name), message)]
    if not expected:
        return [Difference(path, f"{node}: unexpected row {_shown(row)}") for row in rows_of(found)[:MOST_TOLD]]
    schema = pa.schema([found.schema.field(name) for name in columns])
    try:
        wanted = _comparable(typed_table(expected, schema))
    except Unfit as error:
        return [Difference((*path, error.row or 0, error.column or ""), f"{node}: expected {error}")]
    actual = _comparable(found.select(columns))
    open_wanted, open_found = _unmatched([_mark(row) for row in wanted], [_mark(row) for row in actual])
    told: list[Difference] = []
    for at, other in _closest(open_wanted, open_found, wanted, actual):
        told.append(_told(path, node, at, wanted[at], actual[other] if other is not None else None))
        if other is not None:
            open_found.remove(other)
    told += [Difference(path, f"{node}: unexpected row {_shown(actual[other])}") for other in open_found]
    return _cut(told, path, node)


def _comparable(table: pa.Table) -> list[dict[str, Any]]:
    rows = rows_of(table)
    for item in table.schema:
        is_document = native_type(item) in ("json", "jsonb")
        for row in rows:
            row[item.name] = _plain(row[item.name], is_document=is_document)
    return rows


def _plain(value: Any, *, is_document: bool) -> Any:
    """A document by what it says, a float by the digits that arithmetic can be trusted with."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, list):
        return [_plain(one, is_document=False) for one in value]
    if is_document and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _mark(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, default=str)


def _unmatched(wanted: Sequence[str], found: Sequence[str]) -> tuple[list[int], list[int]]:
    """Positions of those that have no equal on the other side."""
    there: dict[str, list[int]] = {}
    for at, mark in enumerate(found):
        there.setdefault(mark, []).append(at)
    open_wanted = []
    for at, mark in enumerate(wanted):
        if there.get(mark):
            there[mark].pop(0)
        else:
            open_wanted.append(at)
    return open_wanted, sorted(at for rest in there.values() for at in rest)


def _closest(
    wanted: Sequence[int], found: Sequence[int], rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> list[tuple[int, int | None]]:
    """Each expected row with the row it most likely was meant to be: the one that shares most values, at least half."""
    pairs: list[tuple[int, int | None]] = []
    free = list(found[:200])
    for at in wanted:
        shared = {other: sum(rows[at][name] == others[other][name] for name in rows[at]) for other in free}
        best = max(free, key=lambda other: shared[other], default=None)
        if best is not None and 2 * shared[best] >= len(rows[at]):
            free.remove(best)
            pairs.append((at, best))
        else:
            pairs.append((at, None))
    return pairs


def _told(path: Path, node: str, at: int, wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> Difference:
    if found is None:
        return Difference((*path, at), f"{node}: no row is {_shown(wanted)}")
    differing = [name for name in wanted if wanted[name] != found[name]]
    words = "; ".join(f"{name} is {_value(found[name])}, not {_value(wanted[name])}" for name in differing)
    same = {name: value for name, value in wanted.items() if name not in differing}
    where = f" (row {_shown(same)})" if same else ""
    return Difference((*path, at, differing[0]), f"{node}: {words}{where}")


def _cut(told: list[Difference], path: Path, node: str) -> list[Difference]:
    if len(told) <= MOST_TOLD:
        return told
    return [*told[:MOST_TOLD], Difference(path, f"{node}: and {len(told) - MOST_TOLD} more differences")]


def _shown(row: Mapping[str, Any]) -> str:
    text = ", ".join(f"{name}: {_value(value)}" for name, value in row.items())
    return "{" + (text if len(text) <= 300 else text[:299] + "…") + "}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else text[:99] + "…"


# ------------------------------------------------------------------------------------------------------- quarantine


@dataclass(frozen=True)
class Rejected:
    """A row that was set aside."""

    node: str
    rules: Sequence[str]
    reason: str
    row: Mapping[str, Any]


def compare_rejected(path: Path, expected: Sequence[ExpectedRecord], found: Sequence[Rejected]) -> list[Difference]:
    """Each expected record has a quarantined row of its own, and no row is left."""
    taken = _assigned(expected, found, _fits)
    told = []
    for at, record in enumerate(expected):
        if at not in taken:
            near = [one for one in found if one.node == record.at]
            seen = f"; there are {', '.join(_record(one) for one in near[:3])}" if near else ""
            told.append(Difference((*path, at), f"no quarantined row is {_wanted(record)}{seen}"))
    left = [one for other, one in enumerate(found) if other not in taken.values()]
    told += [Difference(path, f"unexpected in the quarantine: {_record(one)}") for one in left]
    return _cut(told, path, "quarantine")


def _assigned(
    expected: Sequence[ExpectedRecord], found: Sequence[Rejected], fits: Callable[[ExpectedRecord, Rejected], bool]
) -> dict[int, int]:
    """A largest matching, since a loose expectation must not take the row of a strict one (Kuhn 1955)."""
    holder: dict[int, int] = {}

    def place(at: int, tried: set[int]) -> bool:
        for other, one in enumerate(found):
            if other in tried or not fits(expected[at], one):
                continue
            tried.add(other)
            if other not in holder or place(holder[other], tried):
                holder[other] = at
                return True
        return False

    for at in range(len(expected)):
        place(at, set())
    return {at: other for other, at in holder.items()}


def _fits(record: ExpectedRecord, found: Rejected) -> bool:
    if record.at != found.node or (record.rule is not None and record.rule not in found.rules):
        return False
    if record.reason is not None and record.reason not in found.reason:
        return False
    return all(name in found.row and _same(value, found.row[name]) for name, value in record.row.items())


def _same(wanted: Any, found: Any) -> bool:
    """A record keeps JSON, where a decimal or a date is a text."""
    if wanted == found and isinstance(wanted, bool) == isinstance(found, bool):
        return True
    return isinstance(found, str) and not isinstance(wanted, bool) and str(wanted) == found


def _record(one: Rejected) -> str:
    return f"{one.node} {_shown(one.row)} by {', '.join(one.rules)} ({one.reason[:200]})"


def _wanted(record: ExpectedRecord) -> str:
    parts = [record.at, _shown(record.row) if record.row else "", f"by {record.rule}" if record.rule else ""]
    return " ".join(part for part in [*parts, f"({record.reason})" if record.reason else ""] if part)
