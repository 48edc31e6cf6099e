"""Checks of a dataset as a whole, over its rows in DuckDB: distribution, drift, recall, known searches, and Soda's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_workbench.embedding import open_embedder
from data_workbench.errors import FatalError, Unsupported, WorkbenchError
from data_workbench.quality.standalone import distribution, vectors
from data_workbench.quality.standalone.finders import GIVEN
from data_workbench.quality.standalone.kinds import DistributionCheck, DriftCheck, Elsewhere
from data_workbench.quality.standalone.masking import HIDDEN, masked
from data_workbench.quality.standalone.reasons import reason_of
from data_workbench.records.values import rows_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_workbench.quality.standalone.evaluation import Evaluation, Reader
    from data_workbench.quality.standalone.model import Check
    from data_workbench.quality.standalone.rows import Side

KINDS = frozenset({"distribution", "drift", "recall", "canaries"})
Landed = Callable[[str, Elsewhere, Collection[str]], "Side"]
"""Reads the columns of the other dataset of a check, by its title, into a relation."""


@dataclass(frozen=True)
class Whole:
    """The rows as they stand in DuckDB.

    Args:
        key: the one column that tells rows apart, if there is one.
        numbers: columns whose text is a number.
        conditions: those of checks, by their titles.
        land: reads another dataset beside.
        paste: a query over the rows, as it can be pasted into a console of their store.
    """

    of: Evaluation
    reader: Reader
    connection: DuckDBPyConnection
    key: str | None
    numbers: frozenset[str]
    conditions: Mapping[str, str]
    land: Landed
    paste: Callable[[str], str]

    def check(self, check: Check) -> dict[str, Any]:
        """The result of one check. Raises WorkbenchError, or DuckDB's errors."""
        level = check.severity or self.of.contract.severity
        if check.distribution is not None:
            return self._distribution(check.title, level, check.distribution)
        measure = self._measure(check)
        sample = [masked(one, self._secret) for one in measure.sample[: self.reader.sample]]
        found = self.of.result(check.title, level, measure.failing, rows_=measure.looked_at, sample=sample)
        return {**found, "finder": f"-- {measure.told}" if measure.failing else None}

    def _measure(self, check: Check) -> vectors.Measure:
        one = self.of.contract
        if check.drift is not None:
            return self._drift(check.title, check.drift)
        if self.key is None:
            raise Unsupported(f"{one.dataset} has no key by which a search's points are known")
        source = self.reader.source(one.connection)
        if check.recall is not None:
            return vectors.recall(self.connection, source, one.stream, self.key, check.recall)
        assert check.canaries is not None, "Check has exactly one kind"
        model = open_embedder(check.canaries.model, self.reader.settings)
        return vectors.canaries(self.connection, source, one.stream, self.key, check.canaries, model)

    def _drift(self, title: str, wanted: DriftCheck) -> vectors.Measure:
        there = wanted.than.column or wanted.column
        side = self.land(title, wanted.than, {there})
        chosen = self.conditions.get(title)
        given = f"(FROM {GIVEN} WHERE {chosen})" if chosen else GIVEN
        here = vectors.sampled(self.connection, given, self.key, wanted.column, vectors.COMPARED)
        key = side.key[0] if len(side.key) == 1 else None
        other = vectors.sampled(self.connection, side.table, key, there, vectors.COMPARED)
        return vectors.drift(here, other, self.key or "row", wanted.within)

    def _distribution(self, title: str, level: str, wanted: DistributionCheck) -> dict[str, Any]:
        like = wanted.like
        there = (like.column or wanted.column) if like else None
        side = self.land(title, like, {there}) if like and there else None
        here = distribution.values_of(GIVEN, wanted.column, self.numbers)
        other = distribution.values_of(side.table, there, side.numbers) if side and there else None
        distance, sample = distribution.measured(self.connection, wanted, here, other)
        hidden = self.reader.hidden(f"{like.connection}:{like.stream}") if like else ()
        if wanted.column in self._secret or there in hidden:
            sample = [{**one, "value": HIDDEN} for one in sample]
        failing = int(distance > wanted.within)
        found = self.of.result(title, level, failing, sample=sample[: self.reader.sample] if failing else [])
        return {**found, "finder": f"-- distance {distance:.4f}, {wanted.within:g} allowed" if failing else None}

    def soda(self) -> Iterator[dict[str, Any]]:
        """The results of the contract's checks in Soda's words, with rows that break them where these can be told."""
        from data_workbench.quality.soda import verify_block

        block, one = self.of.contract.soda, self.of.contract
        assert block is not None, "asked only of a contract with such checks"
        titles = block.titles()
        try:
            found = verify_block(self.connection, block, one.stream, one.dataset)
        except WorkbenchError as error:
            reason = reason_of(error, self._secret)
            yield from ({**self.of.unknown(name, one.severity, reason), "kind": kind} for name, kind in titles)
            return
        for told in found:
            name, kind = titles[told.number]
            if told.outcome == "not_evaluated":
                reason = "Soda could not evaluate it: are its column and its rows there?"
                yield {**self.of.unknown(name, one.severity, reason), "kind": kind}
                continue
            is_broken = told.outcome != "passed"
            level = one.severity if told.outcome != "warned" else "warn"
            failing = (told.failing or 1) if is_broken else 0
            query = block.broken_rows(told.number, GIVEN) if is_broken else None
            sample = self._rows(query) if query else []
            if is_broken and not sample:
                is_secret = block.speaks_of(told.number, self._secret)
                sample = [{"value": HIDDEN if is_secret else told.value}]
            finder = self.paste(query) if query else None
            result = self.of.result(name, level, failing, rows_=told.rows, sample=sample, finder=finder)
            yield {**result, "kind": kind}

    def _rows(self, query: str) -> list[dict[str, Any]]:
        import duckdb

        try:
            table = self.connection.sql(f"FROM ({query}) LIMIT {self.reader.sample:d}").to_arrow_table()
        except duckdb.Error:  # what Soda made of it is right, what we made is not: then no rows are shown
            return []
        return [masked(row, self._secret) for row in rows_of(table)]

    @property
    def _secret(self) -> set[str]:
        """The classified columns, and what is derived from them."""
        hidden = set(self.reader.hidden(self.of.contract.dataset))
        derived = self.of.expressions.derived.items()
        return hidden | {name for name, (_, columns) in derived if columns & hidden}


def needed(check: Check) -> set[str]:
    """The columns of the dataset that a check of this kind looks at."""
    value = getattr(check, check.kind)
    found = {value.column}
    if check.canaries is not None:
        found |= {name for query in check.canaries.queries for name in query.finds}
    return found


def other_of(check: Check) -> Elsewhere | None:
    """The other dataset that it needs."""
    if check.distribution is not None:
        return check.distribution.like
    return check.drift.than if check.drift is not None else None


def require(columns: Collection[str], there: Collection[str], dataset: str) -> None:
    """Refuse columns that are not there."""
    gone = sorted(set(columns) - set(there))
    if gone:
        raise FatalError(f"{dataset} has no column {gone[0]!r}", hint="`workbench discover` lists the columns")


def refuse_twins(columns: Iterable[str], dataset: str) -> None:
    """Refuse names that DuckDB does not tell apart: one column would be looked at in place of the other."""
    seen: dict[bytes, str] = {}
    for name in columns:
        folded = name.encode().lower()  # as DuckDB does it: of ASCII's letters only
        if folded in seen:
            twin = seen[folded]
            told = f"{name!r} twice" if twin == name else f"{twin!r} and {name!r}, which differ in case only"
            raise FatalError(
                f"{dataset} would be checked with columns {told}",
                hint="check one of them in a contract of its own; give what is derived a name of its own",
            )
        seen[folded] = name
