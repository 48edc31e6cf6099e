"""What stands in the stores, held against the contracts: Soda's checks over rows read back from each destination.

The rows are those the comparison has read (after a load, the run's keys; of a replaced target, all), or all of what the
pipeline owns for `workbench check`. A contract is held against the targets that take its node as it is, on the columns
they keep. Foreign rows are not looked at, nor are rows whose key is held in the quarantine during a run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.powers import CanReadBack
from data_workbench.errors import FatalError, WorkbenchError
from data_workbench.mapping.targets import (
    CollectionTarget,
    FileTarget,
    NodeTarget,
    RelationshipTarget,
    TableTarget,
    Target,
)
from data_workbench.pipelines.comparing import compared_schema
from data_workbench.pipelines.targets import target_columns
from data_workbench.quality.contract import ColumnContract, Contract
from data_workbench.quality.soda_contract import GIVEN, CheckResult, level_of, rule_names
from data_workbench.reconciliation.compare import Comparison
from data_workbench.reconciliation.documents import DOCUMENTS
from data_workbench.records.marks import OWNED
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    from data_workbench.mapping.targets import LoadContext
    from data_workbench.pipelines.plan import RunPlan
    from data_workbench.pipelines.stores import Stores
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

NOTHING = "no row of this pipeline stands there to be checked"


@dataclass(frozen=True)
class StandingContract:
    """A contract as one target can be held against it: `kept` are the columns it names that stand there,
    among those the target writes."""

    pipeline: str
    destination: str
    node: str
    dataset: str
    contract: Contract
    kept: pa.Schema
    written: pa.Schema

    def results(self, comparison: Comparison) -> list[dict[str, Any]]:
        """Check what a comparison has read back; what Soda cannot say is `not_evaluated`, never passed."""
        try:
            with comparison.standing(GIVEN) as schema:
                found = self._checked(comparison, schema)
        except FatalError as error:
            log.warning("%s: not checked: %s", self.dataset, error.message)
            return self.not_evaluated(error.message)
        return [self._document(one) for one in found]

    def _checked(self, comparison: Comparison, schema: pa.Schema) -> list[CheckResult]:
        [rows] = comparison.connection.execute(f"SELECT count(*) FROM {GIVEN}").fetchone() or (0,)
        if not rows:
            return self._unknown(NOTHING)
        from data_workbench.quality.samples import with_samples
        from data_workbench.quality.soda import verify_given

        documents = frozenset(item.name for item in schema if _is_document(item))
        connection = comparison.connection
        found = verify_given(connection, self.contract, schema, self.dataset, unreadable=documents)
        asked = [one for one in found if one.name != "row_count"]
        return with_samples(asked, connection, self.contract, schema, _key_of(comparison, schema))

    def not_evaluated(self, reason: str) -> list[dict[str, Any]]:
        """All checks of the contract, none of which could be made."""
        return [self._document(one) for one in self._unknown(reason)]

    def _unknown(self, reason: str | None) -> list[CheckResult]:
        names = [name for name in rule_names(self.contract, self.kept) if name != "row_count"]
        return [CheckResult(self.dataset, name, "not_evaluated", reason=reason) for name in names]

    def _document(self, result: CheckResult) -> dict[str, Any]:
        """The public JSON form."""
        where = {"pipeline": self.pipeline, "contract": self.node, "destination": self.destination}
        return {**vars(result), **where, "level": level_of(self.contract)}


def standing_contract(plan: RunPlan, destination: str, target: Target) -> StandingContract | None:
    """The contract that what stands in a target is held against; None if its input has none, or keeps nothing of it."""
    written = plan.contracts.get(target.input)
    if written is None:
        return None
    node = plan.transform.node(target.input)
    schema = pa.schema([node.columns.field(name) for name in target_columns(target, node.columns.names)])
    contract, kept = _on_columns(Contract.model_validate(written, strict=False), _kept(target, schema))
    if not (contract.columns or contract.unique):
        return None
    dataset = f"{plan.destinations[destination].connection}:{target.name}"
    return StandingContract(plan.pipeline, destination, target.input, dataset, contract, kept, schema)


def standing_contracts(plan: RunPlan) -> Iterator[tuple[str, int, Target, StandingContract]]:
    """All of them: destination, the target's place in it, the target, the contract."""
    for name, item in plan.destinations.items():
        for index, target in enumerate(item.targets):
            contract = standing_contract(plan, name, target)
            if contract is not None:
                yield name, index, target, contract


def not_evaluated(plan: RunPlan, reason: str) -> list[dict[str, Any]]:
    """All checks of a plan on its stores, none of which could be made."""
    return [one for *_, contract in standing_contracts(plan) for one in contract.not_evaluated(reason)]


def broken(checks: list[dict[str, Any]]) -> list[str]:
    """The failed checks in words."""
    return [f"{one['dataset']}: {one['name']} ({one['failing']} rows)" for one in checks if one["outcome"] == "failed"]


@dataclass(frozen=True)
class StandingReader:
    """Reads all a pipeline owns in a target and checks it, without a run."""

    stores: Stores
    settings: Settings
    folder: Path

    def check(
        self, contract: StandingContract, target: Target, destination: str, context: LoadContext
    ) -> list[dict[str, Any]]:
        """The checks of one target as it stands now; a store that cannot be read leaves them `not_evaluated`.

        Args:
            destination: its connection.
        """
        try:
            store = self.stores.destination(destination)
            if not isinstance(store, CanReadBack):
                return contract.not_evaluated("this store cannot be read back")
            keyed = [name for name in target.key if name in contract.written.names]
            names = list(dict.fromkeys([*keyed, *contract.kept.names]))
            schema = pa.schema([contract.written.field(name) for name in names])
            narrowed = _narrowed(target, names)
            asked = schema if narrowed else contract.written
            batches = iter(store.read_back(narrowed or target, asked, context, None))
            return self._checked(contract, schema, tuple(keyed), batches)
        except WorkbenchError as error:
            return contract.not_evaluated(error.message)

    def _checked(
        self, contract: StandingContract, schema: pa.Schema, key: tuple[str, ...], batches: Iterator[pa.RecordBatch]
    ) -> list[dict[str, Any]]:
        first = next(batches, None)
        if first is None:
            return contract.not_evaluated(NOTHING)
        there = pa.schema([item for item in schema if item.name in first.schema.names])  # a column may have gone
        key = tuple(name for name in key if name in there.names)
        with Comparison(there, key, self.folder, self.settings, carry_actual=there) as comparison:
            comparison.observe(batch.select([*there.names, OWNED]) for batch in chain([first], batches))
            return contract.results(comparison)


def _narrowed(target: Target, names: list[str]) -> Target | None:
    """The target as if it wrote these columns only, so that no more is read than is checked; None if it cannot."""
    match target:
        case TableTarget() | FileTarget():
            return target
        case NodeTarget():
            return replace(target, properties=tuple(names))
        case CollectionTarget():
            return replace(target, payload=tuple(names))
        case _:
            return None


def _key_of(comparison: Comparison, schema: pa.Schema) -> tuple[str, ...]:
    return tuple(name for name in comparison.key if name in schema.names)


def _kept(target: Target, schema: pa.Schema) -> pa.Schema:
    """The columns of the input that can be read in the store."""
    if isinstance(target, RelationshipTarget):  # its ends are nodes, with contracts of their own
        return pa.schema([item for item in schema if item.name in target.properties])
    return compared_schema(target, schema)[0]


def _on_columns(contract: Contract, kept: pa.Schema) -> tuple[Contract, pa.Schema]:
    """The contract on these columns only, and those of them it speaks of."""
    columns: dict[str, ColumnContract] = {
        name: promise for name, promise in contract.columns.items() if name in kept.names
    }
    unique = [group for group in contract.unique if set(group) <= set(kept.names)]
    spoken = {*columns, *(name for group in unique for name in group)}
    fields = [item for item in kept if item.name in spoken]
    return contract.model_copy(update={"columns": columns, "unique": unique}), pa.schema(fields)


def _is_document(item: pa.Field) -> bool:
    return (native_type(item) or "").lower().removesuffix("[]") in DOCUMENTS
