"""Do the stores hold what the pipeline says? After a load for the keys it touched, or in full; and putting it right.

Repair writes what is missing or stale. What is surplus is deleted only when asked for, and more than 5 % of what is
expected only when forced. A dry run is the default: without `repair` nothing is written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.base import Destination
from data_workbench.connectors.powers import CanDelete, CanReadBack
from data_workbench.errors import ReconciliationFailed
from data_workbench.events import emit
from data_workbench.mapping.targets import CollectionTarget, FileTarget, LoadContext, RelationshipTarget, Target
from data_workbench.pipelines.comparing import TargetVerdict, compare_target, existing_ends
from data_workbench.pipelines.load import LoadInput, matching_rows
from data_workbench.pipelines.standing import StandingContract, standing_contract
from data_workbench.pipelines.targets import target_columns
from data_workbench.reconciliation.vectors import EmbedTexts
from data_workbench.records.accounting import ReconciliationCounts
from data_workbench.records.marks import OP, TOMBSTONE, UPSERT

if TYPE_CHECKING:
    from data_workbench.artifacts import Manifest
    from data_workbench.pipelines.journaling import RunJournal
    from data_workbench.pipelines.plan import RunPlan
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

NOT_READ = "rows appended without a key are not read back after a load; `workbench check` looks at all of them"
MOST_DELETED = 0.05
"""Share of the expected rows that `--delete` takes away without `--force`."""


class VectorBook(Protocol):
    """Fingerprints of stored vectors, kept outside the store."""

    def known(
        self, dataset: str, schema: pa.Schema, key: tuple[str, ...], keys: Iterable[pa.Table] | None
    ) -> Iterable[pa.Table]:
        """Pages of key columns, `_wb_vector_hash`, `_wb_text_hash`, `_wb_model`; of these keys, or all."""

    def keep(self, dataset: str, key: tuple[str, ...], fresh: Iterable[pa.Table]) -> None:
        """Keep what stands in the store now."""


@dataclass(frozen=True)
class Remedy:
    """What may be done about differences."""

    repair: bool = False
    delete: bool = False
    force: bool = False


@dataclass
class Reconciliation:
    """The answer for all destinations."""

    scope: str
    destinations: dict[str, ReconciliationCounts] = field(default_factory=dict)
    not_compared: list[str] = field(default_factory=list)
    """Targets whose rows cannot be told apart (an append without a key)."""
    checks: list[dict[str, object]] = field(default_factory=list)
    """The contracts' checks on what was read back, if they were asked for."""

    @property
    def clean(self) -> bool:
        """Nothing differs that the pipeline owns, or all of it was repaired."""
        return all(_is_clean(counts) for counts in self.destinations.values())

    def as_dict(self) -> dict[str, object]:
        """The public JSON form."""
        return {
            "clean": self.clean,
            "scope": self.scope,
            "destinations": {name: counts.as_dict() for name, counts in self.destinations.items()},
            "not_compared": self.not_compared,
        }


def _is_clean(counts: ReconciliationCounts) -> bool:
    relationships = counts.relationships or {}
    vectors = counts.vectors or {}
    found = counts.missing + counts.surplus + counts.stale + sum(relationships.values()) + sum(vectors.values())
    return found == 0


@dataclass(frozen=True)
class Reconciler:
    """Compares and repairs the destinations of one plan.

    Args:
        inputs: a node's staged rows.
        folded: of them, the rows that a target takes: one of each key.
        context: who writes, per destination and target.
        embedder: gives a model's embed function.
        refused: keys of a target's rows that its store refused and that wait in the quarantine.
        in_scope: of surplus keys, those that really left the source (others belong to other params); or None.
        folder: for temporary files.
        journal: told of keys that stand as they were written, and of what is repaired.
        checks: whether what is read back is held against the contracts, too.
    """

    plan: RunPlan
    inputs: Callable[[str], LoadInput]
    folded: Callable[[str, int, Target], Manifest]
    destination: Callable[[str], Destination]
    context: Callable[[str, int], LoadContext]
    embedder: Callable[[str], EmbedTexts]
    vectors: VectorBook
    settings: Settings
    folder: Path
    journal: RunJournal
    in_scope: Callable[[Target, pa.Table], pa.Table] | None = None
    refused: Callable[[str, Target, pa.Schema], pa.Table | None] = lambda *_: None
    checks: bool = False

    def reconcile(self, *, full: bool, remedy: Remedy = Remedy(), only: Iterable[str] = ()) -> Reconciliation:  # frozen
        """Compare all destinations; with a remedy, repair and compare what was repaired again."""
        answer = Reconciliation("full" if full else "changed")
        for name in only or self.plan.destinations:
            counts = ReconciliationCounts()
            for index, target in enumerate(self.plan.destinations[name].targets):
                contract = standing_contract(self.plan, name, target) if self.checks else None
                found = self._target(name, index, target, full=full, remedy=remedy, contract=contract)
                run_id = self.context(name, index).run_id
                emit("reconcile.compared", run_id=run_id, destination=name, target=target.name)
                if found is None:
                    answer.not_compared.append(f"{name} {target.name}")
                    answer.checks += contract.not_evaluated(NOT_READ) if contract else []
                    continue
                answer.checks += found[1]
                _merge(counts, found[0])
            answer.destinations[name] = counts
        return answer

    def _target(
        self,
        name: str,
        index: int,
        target: Target,
        *,
        full: bool,
        remedy: Remedy,
        contract: StandingContract | None = None,
    ) -> tuple[ReconciliationCounts, list[dict[str, object]]] | None:
        destination = self.destination(name)
        if not _can_compare(target, destination):
            return None
        whole = full or target.write == "replace"
        carry = contract.kept if contract else None
        with self._compare(name, index, target, full=whole, carry=carry) as verdict:
            counts = self._judged(verdict, name, index, target, destination)
            if _is_clean(counts) or not (remedy.repair or remedy.delete):
                self._note(verdict, name, index)
                return counts, contract.results(verdict.comparison) if contract else []
            repaired = self._remedy(verdict, name, index, target, destination, remedy)
            if not repaired:
                self._note(verdict, name, index)
                return counts, contract.results(verdict.comparison) if contract else []
        with self._compare(name, index, target, full=whole, carry=carry) as verdict:
            after = self._judged(verdict, name, index, target, destination)
            after.repaired = repaired
            self._note(verdict, name, index)
            return after, contract.results(verdict.comparison) if contract else []

    def _judged(
        self, verdict: TargetVerdict, name: str, index: int, target: Target, destination: Destination
    ) -> ReconciliationCounts:
        """The counts; the vectors that were found to be right are known from now on."""
        counts = self._counts(verdict, name, index, destination)
        if verdict.vector_comparison is not None and isinstance(target, CollectionTarget) and target.embed:
            self.vectors.keep(self._dataset(name, target), target.key, verdict.vector_comparison.fresh())
        return counts

    def _note(self, verdict: TargetVerdict, name: str, index: int) -> None:
        """Tell the journal what stands as it was written."""
        if verdict.comparison.key and verdict.target.write != "append":
            self.journal.compared(name, index, verdict.comparison.standing_as_expected())

    def _compare(self, name: str, index: int, target: Target, *, full: bool, carry: pa.Schema | None = None):  # type: ignore[no-untyped-def]  # a context manager of TargetVerdict
        given = self.inputs(target.input)
        columns = target_columns(target, given.schema.names)
        manifest = self.folded(name, index, target)
        listed = [*columns, OP] if OP in manifest.schema.names else columns
        schema = pa.schema([given.schema.field(column) for column in columns])
        embed = self.embedder(target.embed.model) if isinstance(target, CollectionTarget) and target.embed else None
        return compare_target(
            target,
            schema,
            lambda: manifest.iter_batches(listed),
            destination=self.destination(name),
            context=self.context(name, index),
            full=full,
            folder=self.folder / f"{name}.{index}",
            settings=self.settings,
            refused=self.refused(name, target, schema),
            known_vectors=lambda keys: self.vectors.known(self._dataset(name, target), schema, target.key, keys),
            embed=embed,
            carry=carry,
        )

    def _dataset(self, name: str, target: Target) -> str:
        return f"{self.plan.destinations[name].connection}:{target.name}"

    def _counts(self, verdict: TargetVerdict, name: str, index: int, destination: Destination) -> ReconciliationCounts:
        target, found = verdict.target, verdict.counts
        surplus = sum(page.num_rows for page in self._surplus(verdict)) if found["surplus"] else 0
        if isinstance(target, RelationshipTarget):
            missing = sum(page.num_rows for page in self._missing_relationships(verdict, name, index, destination))
            return ReconciliationCounts(
                foreign=found["foreign"] + found["surplus"] - surplus,
                held=found["held"],
                relationships={"missing": missing + found["stale"], "dangling": surplus},
            )
        vectors = None
        if verdict.vectors is not None:
            vectors = {"wrong_model": verdict.vectors.wrong_model.num_rows, "stale": verdict.vectors.stale.num_rows}
        return ReconciliationCounts(
            missing=found["missing"],
            surplus=surplus,
            stale=found["stale"],
            foreign=found["foreign"] + (found["surplus"] - surplus),
            held=found["held"],
            vectors=vectors,
        )

    def _surplus(self, verdict: TargetVerdict) -> Iterator[pa.Table]:
        if not verdict.comparison.key:
            yield pa.table({"rows": pa.nulls(verdict.counts["surplus"])})
            return
        if verdict.target.write == "append":
            return  # what earlier runs added stays, though its source has gone
        yield from verdict.comparison.keys("surplus")
        for page in verdict.comparison.keys("unknown"):
            yield page if self.in_scope is None else self.in_scope(verdict.target, page)

    def _missing_relationships(
        self, verdict: TargetVerdict, name: str, index: int, destination: Destination
    ) -> Iterator[pa.Table]:
        """Relationships that are not there although both their nodes are; the others are deferred, not missing."""
        target = verdict.target
        if (
            verdict.counts["missing"]
            and isinstance(target, RelationshipTarget)
            and isinstance(destination, CanReadBack)
        ):
            for page in verdict.comparison.keys("missing"):
                yield existing_ends(target, page, destination, self.context(name, index))

    # -------------------------------------------------------------------------------------------------- repair

    def _remedy(
        self, verdict: TargetVerdict, name: str, index: int, target: Target, destination: Destination, remedy: Remedy
    ) -> int:
        repaired = 0
        # First what is surplus: a relationship to the wrong node is found by the key of the right one.
        if remedy.delete and isinstance(destination, CanDelete) and verdict.comparison.key:
            repaired += self._delete(verdict, name, index, destination, force=remedy.force)
        if remedy.repair:
            repaired += self._rewrite(verdict, name, index, target, destination)
        log.info("%s %s: repaired %s", name, target.name, repaired)
        return repaired

    def _rewrite(self, verdict: TargetVerdict, name: str, index: int, target: Target, destination: Destination) -> int:
        """Write missing and stale rows again, from the rows the pipeline says should be there."""
        wrong = [*verdict.comparison.keys("missing"), *verdict.comparison.keys("stale")]
        if isinstance(target, RelationshipTarget):
            wrong = [*self._missing_relationships(verdict, name, index, destination), *verdict.comparison.keys("stale")]
        if verdict.vectors is not None:
            bad = [table for table in (verdict.vectors.wrong_model, verdict.vectors.stale) if table.num_rows]
            wrong += bad
            # A vector with right stamps would be left alone by the writer, so the point goes first.
            if bad and isinstance(destination, CanDelete):
                for keys in bad:
                    destination.delete(target, verdict.schema, self.context(name, index), keys)
        wrong = [page for page in wrong if page.num_rows]
        if not wrong:
            return 0
        key = list(verdict.comparison.key)
        keys = pa.concat_tables(wrong, promote_options="permissive").select(key).group_by(key).aggregate([])
        written = 0
        if target.write == "append" and isinstance(destination, CanDelete):
            # What is wrong would stand beside what is right.
            destination.delete(
                target, verdict.schema, self.context(name, index), keys.cast(verdict.comparison.key_schema)
            )
        with destination.open(target, verdict.schema, self.context(name, index)) as writer:
            for part, rows in enumerate(
                self._rows(name, index, target, None if target.write == "replace" else keys, key)
            ):
                self.journal.intend(name, index, part, rows, cause="repair")
                writer.write(rows, writer.progress.parts + part)
                self.journal.confirm(name, index, part + 1, cause="repair")
                written += rows.num_rows
            writer.finish()
        return written

    def _rows(self, name: str, index: int, target: Target, keys: pa.Table | None, key: list[str]) -> Iterator[pa.Table]:
        """Rows of these keys as they should be; all where a replace would take the others away."""
        manifest = self.folded(name, index, target)
        columns = target_columns(target, self.inputs(target.input).schema.names)
        marked = OP in manifest.schema.names
        for rows in manifest.tables([*columns, OP] if marked else columns):
            if marked:
                rows = rows.filter(pc.equal(rows.column(OP), UPSERT)).select(columns)
            found = rows if keys is None else matching_rows(rows, keys, key, "left semi")
            if found.num_rows:
                yield found

    def _delete(self, verdict: TargetVerdict, name: str, index: int, destination: CanDelete, *, force: bool) -> int:
        target = verdict.target
        pages = [page for page in self._surplus(verdict) if page.num_rows]
        surplus = sum(page.num_rows for page in pages)
        expected = self.inputs(target.input).manifest.rows
        if surplus > MOST_DELETED * max(expected, 1) and not force:
            raise ReconciliationFailed(
                f"{name} {target.name}: {surplus} surplus rows stand against {expected} expected ones, "
                f"more than {MOST_DELETED:.0%}",
                hint="look at them first; if they are really to go, add --force",
            )
        deleted = 0
        for part, page in enumerate(pages):
            self.journal.intend(name, index, part, page, cause="delete", mark=TOMBSTONE)
            deleted += destination.delete(target, verdict.schema, self.context(name, index), page)
            self.journal.confirm(name, index, part + 1, cause="delete")
        return deleted


def _can_compare(target: Target, destination: Destination) -> bool:
    """Whether rows read back can be told apart: by key, or as a whole where a replace owns all of them."""
    if not isinstance(destination, CanReadBack):
        return False
    if isinstance(target, FileTarget) and not target.key:
        return target.write == "replace"
    if isinstance(target, RelationshipTarget):
        return True
    return bool(target.key) or target.write == "replace"


def _merge(total: ReconciliationCounts, found: ReconciliationCounts) -> None:
    total.add(found)
    for name in ("relationships", "vectors"):
        ours: Mapping[str, int] | None = getattr(found, name)
        if ours is not None:
            summed = dict(getattr(total, name) or {})
            for what, count in ours.items():
                summed[what] = summed.get(what, 0) + count
            setattr(total, name, summed)
