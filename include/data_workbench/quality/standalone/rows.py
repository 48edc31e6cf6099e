"""Checks of rows as SQL over what was read: one query each, that gives the rows which break it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from data_workbench.errors import FatalError, WorkbenchError
from data_workbench.quality.contract import Contract
from data_workbench.quality.predicates import compile_contract
from data_workbench.quality.standalone import comparing, mixed
from data_workbench.quality.standalone.finders import GIVEN, Finder, of_rows
from data_workbench.quality.standalone.kinds import Agreement, Other, TextCheck, VectorCheck
from data_workbench.quality.standalone.model import Check, StandaloneContract, promises_named
from data_workbench.records.marks import STAMP_MODEL, STAMP_TEXT_HASH
from data_workbench.records.names import literal, quoted

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Side:
    """Rows of another dataset that a check needs.

    Args:
        table: how DuckDB calls them.
        columns: those that are read.
        where: as it was checked, in DuckDB's dialect.
        kinds, here: types of its columns, and of those of the dataset that is checked.
    """

    table: str
    connection: str
    stream: str
    columns: tuple[str, ...]
    where: str | None = None
    key: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()
    kinds: Mapping[str, str] = field(default_factory=dict)
    here: Mapping[str, str] = field(default_factory=dict)

    def pair(self, one: str, two: str) -> tuple[str, str]:
        """Expressions over `g` and `o` that are equal where the value of column `one` here is that of `two` there."""
        for name, known in ((one, self.here), (two, self.kinds)):
            if name not in known:
                raise FatalError(f"there is no column {name!r}", hint="`workbench discover` lists the columns")
        return comparing.pair(("g", one), ("o", two), (self.here[one], self.kinds[two]))

    @property
    def dataset(self) -> str:
        return f"{self.connection}:{self.stream}"


ALONE: Final = frozenset({"condition", "model", "vectors"})
"""Kinds of checks that need no rows of another dataset."""


def promised(contract: StandaloneContract, schema: pa.Schema, mixed_: Collection[str] = ()) -> Iterator[Finder]:
    """The finders of the columns' promises and of uniqueness; columns that are not there are `missing`.

    Args:
        mixed_: columns of several types.
    """
    there = {name: one for name, one in contract.columns.items() if name in schema.names}
    yield from mixed.types_promised(there, mixed_, contract.severity)
    there |= {name: there[name].model_copy(update={"type": None}) for name in mixed_ if name in there}
    groups = [group for group in contract.unique if set(group) <= set(schema.names)]
    rules = compile_contract(contract.contract, Contract(columns=there, unique=groups, on_invalid="warn"), schema)
    for rule in rules.rules:
        yield of_rows(rule.name, f"NOT ({rule.predicate})", rule.columns, contract.severity)
    for columns in rules.unique:
        listed = ", ".join(map(quoted, columns))
        complete = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in columns)
        query = f"SELECT * FROM {GIVEN} g WHERE {complete} QUALIFY count(*) OVER (PARTITION BY {listed}) > 1"
        yield Finder(f"unique {', '.join(columns)}", query, columns, contract.severity)


@dataclass(frozen=True)
class Promised:
    """All that a contract promises of columns.

    Args:
        untold: names of promises that cannot be held against their column, with the reason.
    """

    finders: list[Finder]
    untold: dict[str, str]


def all_promised(contract: StandaloneContract, schema: pa.Schema, mixed_: Collection[str]) -> Promised:
    """The finders, column by column: a promise that does not fit its column takes none of the others with it."""
    found = Promised([], {})
    for part in _one_by_one(contract):
        try:
            known = {one.name for one in found.finders}
            found.finders.extend(one for one in promised(part, schema, mixed_) if one.name not in known)
        except WorkbenchError as error:
            found.untold.update(dict.fromkeys(promises_named(part), error.message))
    return found


def _one_by_one(contract: StandaloneContract) -> Iterator[StandaloneContract]:
    for name, promise in contract.columns.items():
        yield contract.model_copy(update={"columns": {name: promise}, "unique": []})
    yield contract.model_copy(update={"columns": {}})


def missing(contract: StandaloneContract, schema: pa.Schema) -> list[str]:
    """Columns that the contract names and that are not there."""
    named = dict.fromkeys([*contract.columns, *(name for group in contract.unique for name in group)])
    return [name for name in named if name not in schema.names]


def compile_check(
    contract: StandaloneContract, check: Check, conditions: Mapping[str, str], side: Side | None
) -> Finder:
    """The finder of a check over rows.

    Args:
        conditions: the SQL of conditions as it was checked, by the check's title.
    """
    level, title = check.severity or contract.severity, check.title
    match check:
        case Check(condition=str()):
            return of_rows(title, f"NOT coalesce({conditions[title]}, TRUE)", (), level)
        case Check(references=Other() as other) if side:
            query = f"SELECT g.* FROM {GIVEN} g WHERE {_complete('g', other.on)} AND NOT EXISTS ({_match(other, side)})"
            return Finder(title, query, tuple(other.on), level)
        case Check(covers=Other() as other) if side:
            match_ = equal(other.on, side)
            complete = " AND ".join(f"o.{quoted(name)} IS NOT NULL" for name in other.on.values())
            query = f"SELECT o.* FROM {side.table} o WHERE {complete} AND NOT EXISTS (FROM {GIVEN} g WHERE {match_})"
            return Finder(title, query, tuple(other.on.values()), level, side.dataset)
        case Check(agrees=Agreement() as other) if side:
            pairs = (side.pair(here, there) for here, there in other.columns.items())
            differs = " OR ".join(f"{one} IS DISTINCT FROM {two}" for one, two in pairs)
            query = f"SELECT g.* FROM {GIVEN} g WHERE EXISTS ({_match(other, side)} AND ({differs}))"
            return Finder(title, query, (*other.on, *other.columns), level)
        case Check(text=TextCheck() as other) if side:
            stale = f"g.{quoted(STAMP_TEXT_HASH)} IS DISTINCT FROM left(sha256(o.{quoted(other.text)}), 32)"
            query = f"SELECT g.* FROM {GIVEN} g WHERE EXISTS ({_match(other, side)} AND {stale})"
            return Finder(title, query, tuple(other.on), level)
        case Check(model=str() as model):
            return of_rows(title, f"{quoted(STAMP_MODEL)} IS DISTINCT FROM {literal(model)}", (STAMP_MODEL,), level)
        case Check(vectors=VectorCheck() as wanted_):
            return _vectors(title, wanted_, level)
    raise AssertionError(f"{check.kind} is no check of rows")


def _vectors(title: str, wanted: VectorCheck, level: Literal["fail", "warn"]) -> Finder:
    vector = quoted(wanted.column)
    # As doubles: the square of a number that a vector may hold can be beyond what its own type holds. A null inside is
    # no number; left as it is, DuckDB would refuse to look at the rows beside it.
    numbers = f"list_transform({vector}, lambda x: coalesce(CAST(x AS DOUBLE), 'nan'))"
    norm = f"sqrt(list_dot_product({numbers}, {numbers}))"
    broken = [f"NOT isfinite({norm})"]
    if wanted.dimension is not None:
        broken.append(f"len({vector}) <> {wanted.dimension:d}")
    if wanted.min_norm is not None:
        broken.append(f"{norm} < {wanted.min_norm!r}")
    if wanted.max_norm is not None:
        broken.append(f"{norm} > {wanted.max_norm!r}")
    either = " OR ".join(broken)
    if not wanted.distinct:
        return of_rows(title, f"{vector} IS NOT NULL AND ({either})", (), level)
    # By its hash: a partition by the vectors themselves would keep them all in memory.
    twice = f"count(*) OVER (PARTITION BY hash({vector})) > 1"
    query = f"SELECT * FROM {GIVEN} g WHERE {vector} IS NOT NULL QUALIFY {either} OR {twice}"
    return Finder(title, query, (), level)


def _match(other: Other, side: Side) -> str:
    return f"FROM {side.table} o WHERE {equal(other.on, side)}"


def equal(on: Mapping[str, str], side: Side) -> str:
    """The condition under which a row `g` here is that of a row `o` there."""
    pairs = (side.pair(here, there) for here, there in on.items())
    return " AND ".join(f"{one} = {two}" for one, two in pairs)


def _complete(table: str, on: Mapping[str, str]) -> str:
    return " AND ".join(f"{table}.{quoted(name)} IS NOT NULL" for name in on)
