"""Loading what was staged into one destination: target by target, part by part, each committed with its progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.base import Progress, Rejection, Writer
from data_workbench.connectors.powers import CanRunHooks
from data_workbench.events import emit
from data_workbench.mapping.targets import LoadContext, RelationshipTarget, Target
from data_workbench.pipelines.folding import Folded, fold, unkeyed_rows
from data_workbench.pipelines.targets import target_columns
from data_workbench.records.accounting import RelationshipCounts, WriteCounts
from data_workbench.records.ahead import one_ahead
from data_workbench.records.marks import HELD, OP, UPSERT
from data_workbench.records.values import rows_of

if TYPE_CHECKING:
    from data_workbench.artifacts import ArtifactStore, Manifest
    from data_workbench.connectors.base import Destination
    from data_workbench.mapping.hooks import BoundHook
    from data_workbench.metastore.journal import Cause
    from data_workbench.pipelines.plan import RunPlan
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)


class LoadLedger(Protocol):
    """What a load keeps outside the destination: how far it came, what was refused, what waits for an endpoint."""

    def progress(self, destination: str, index: int) -> Progress:
        """How far this run's load of a target is known to have come."""

    def advance(self, destination: str, index: int, progress: Progress) -> None:
        """Note how far it came; called after each commit."""

    def intend(self, destination: str, index: int, part: int, rows: pa.Table) -> None:
        """Note the keys of a part in the journal, before it is written."""

    def intend_whole(self, destination: str, index: int, *, cause: Cause) -> None:
        """Note in the journal that something is about to be written whose keys nobody sees."""

    def confirm(self, destination: str, index: int, parts: int, *, cause: Cause = "load") -> None:
        """Note in the journal that the first so many parts are written."""

    def reject(self, destination: str, target: Target, rejections: list[Rejection], rows: pa.Table) -> None:
        """Put rows the store refused into the quarantine."""

    def deferred(self, destination: str, index: int, schema: pa.Schema) -> pa.Table:
        """Relationship rows of earlier runs whose endpoint was missing."""

    def defer(self, destination: str, index: int, rows: pa.Table, key: tuple[str, ...], known: pa.Table) -> None:
        """Keep the rows that wait now; of keys in `known`, which waited before, forget those that do not."""


@dataclass(frozen=True)
class LoadInput:
    """A staged node: its artifact, the columns a pipeline sees, its key."""

    manifest: Manifest
    schema: pa.Schema
    key: tuple[str, ...]
    key_is_unique: bool


def load_destination(
    name: str,
    plan: RunPlan,
    inputs: Callable[[str], LoadInput],
    *,
    destination: Destination,
    context: Callable[[int], LoadContext],
    ledger: LoadLedger,
    artifacts: ArtifactStore,
    settings: Settings,
) -> WriteCounts:
    """Load all targets of a destination; relationships after nodes. Safe to repeat after a crash."""
    total = WriteCounts()
    targets = plan.destinations[name].targets
    given = [inputs(target.input) for target in targets]
    emit("load.begun", destination=name, run_id=context(0).run_id, rows=sum(one.manifest.rows for one in given))
    _run_hooks(name, destination, context(0).before)
    for index, target in enumerate(targets):
        counts = _load_target(
            name,
            index,
            target,
            given[index],
            destination=destination,
            context=context(index),
            ledger=ledger,
            artifacts=artifacts,
            settings=settings,
        )
        log.info("run %s: %s %s: %s", context(index).run_id, name, target.name, counts.as_dict())
        total.add(counts)
    _run_hooks(name, destination, context(len(targets) - 1).after)
    total.check(name)
    return total


def _run_hooks(name: str, destination: Destination, hooks: Sequence[BoundHook]) -> None:
    """Run what no transaction of the load takes in: at least once, again after a crash."""
    if isinstance(destination, CanRunHooks):
        for hook in hooks:
            log.info("%s: hook %s", name, hook.hook.statement[:200])
            destination.run_hook(hook)


def _load_target(
    name: str,
    index: int,
    target: Target,
    given: LoadInput,
    *,
    destination: Destination,
    context: LoadContext,
    ledger: LoadLedger,
    artifacts: ArtifactStore,
    settings: Settings,
) -> WriteCounts:
    columns = target_columns(target, given.schema.names)
    schema = pa.schema([given.schema.field(column) for column in columns])
    folded = fold(target, given, context, artifacts, settings)
    manifest = folded.manifest
    if folded.unkeyed:
        _reject_unkeyed(name, target, given, ledger)
    adopted = _adopt(destination, target, schema, context, manifest)
    if adopted is not None:
        ledger.intend_whole(name, index, cause="stream")
        ledger.confirm(name, index, 1, cause="stream")
        return _with_folded(adopted, folded)
    with destination.open(target, schema, context) as writer:
        done, first = _resume(writer, _noted(destination, writer, ledger, name, index))
        if writer.rejections:  # committed by an attempt that was killed before it could put them aside
            ledger.reject(name, target, writer.rejections, schema.empty_table())
        ledger.confirm(name, index, first)  # written by an attempt that was killed before it could say so
        staged = manifest.tables(_present(manifest, columns), first=first)
        parts = _anticipated(staged, writer, ledger, (name, index, first))
        with closing(one_ahead(parts, name="load, next part")) as coming:
            for part, rows in enumerate(coming, first):
                _write(writer, rows, part, name, target, ledger)
                ledger.advance(name, index, Progress(part + 1, _sum(done, writer.progress.counts)))
                ledger.confirm(name, index, part + 1)
                facts = {"destination": name, "target": target.name, "part": part}
                emit("load.written", **facts, run_id=context.run_id, rows=rows.num_rows, bytes=rows.nbytes)
        if isinstance(target, RelationshipTarget):
            _settle_deferred(writer, target, schema, manifest, name, index, ledger)
        counts = _sum(done, _finished(writer, target, name, index, ledger))
    if isinstance(target, RelationshipTarget):
        counts.relationships = counts.relationships or RelationshipCounts()  # none is a count, too
    return _with_folded(counts, folded)


def _finished(writer: Writer, target: Target, name: str, index: int, ledger: LoadLedger) -> WriteCounts:
    """End a load; what a replace takes away goes without anybody having said its keys."""
    if target.write != "replace":
        return writer.finish()
    ledger.intend_whole(name, index, cause="replace")
    counts = writer.finish()
    ledger.confirm(name, index, 1, cause="replace")
    return counts


def _anticipated(
    staged: Iterable[pa.Table], writer: Writer, ledger: LoadLedger, place: tuple[str, int, int]
) -> Iterator[pa.Table]:
    """Parts, each in the journal before it can be written."""
    name, index, first = place
    for part, table in enumerate(staged, first):
        rows = _without_held(table)
        ledger.intend(name, index, part, rows)
        writer.anticipate(rows)
        yield rows


def _with_folded(counts: WriteCounts, folded: Folded) -> WriteCounts:
    """The counts of a load and of the rows that were kept from it."""
    counts.collapsed += folded.collapsed
    counts.rejected += folded.unkeyed
    counts.out += folded.collapsed + folded.unkeyed
    return counts


def _reject_unkeyed(name: str, target: Target, given: LoadInput, ledger: LoadLedger) -> None:
    """Put rows with a NULL in the target's key into the quarantine, known by their own key or else as a whole."""
    reason = f"a key column of {target.name} is NULL ({', '.join(target.key)})"
    for rows in unkeyed_rows(target, given):
        known = [column for column in rows.column_names if column in {*target.key, *given.key}]
        keys = rows_of(rows.select(known) if given.key else rows)
        ledger.reject(name, target, [Rejection(key, "key", reason) for key in keys], rows)


def _noted(destination: Destination, writer: Writer, ledger: LoadLedger, name: str, index: int) -> Progress:
    """What we noted outside: nothing worth where a store keeps its own position, or a load is seen as a whole."""
    is_worth = writer.resumes and not destination.capabilities.transactional
    return ledger.progress(name, index) if is_worth else Progress()


def _resume(writer: Writer, noted: Progress) -> tuple[WriteCounts, int]:
    """Counts to add to the writer's own, and the part to go on with.

    A writer that found its progress beside the data knows best. For one that keeps none, our note may lag behind what
    is committed, which a repeated part forgives, but never leads.
    """
    if writer.progress.parts >= noted.parts:
        return WriteCounts(), writer.progress.parts
    return noted.counts, noted.parts


def _sum(first: WriteCounts, second: WriteCounts) -> WriteCounts:
    return WriteCounts().add(first).add(second)


def _write(writer: Writer, rows: pa.Table, part: int, name: str, target: Target, ledger: LoadLedger) -> None:
    before = len(writer.rejections)
    writer.write(rows, part)
    fresh = writer.rejections[before:]
    if fresh:
        ledger.reject(name, target, fresh, rows)


def _present(manifest: Manifest, columns: list[str]) -> list[str]:
    return [*columns, OP] if OP in manifest.schema.names else columns


def _without_held(rows: pa.Table) -> pa.Table:
    if OP not in rows.column_names:
        return rows
    held = pc.equal(rows.column(OP), HELD)
    return rows.filter(pc.invert(held)) if pc.any(held).as_py() else rows


def _adopt(
    destination: Destination, target: Target, schema: pa.Schema, context: LoadContext, manifest: Manifest
) -> WriteCounts | None:
    """Let a file destination link staged Parquet parts that are already exactly what it wants."""
    from data_workbench.connectors.powers import CanAdoptParts

    if not isinstance(destination, CanAdoptParts) or not manifest.schema.equals(schema):
        return None
    parts = manifest.local_paths()
    return None if parts is None else destination.adopt(target, schema, context, parts)


def _settle_deferred(
    writer: Writer,
    target: RelationshipTarget,
    schema: pa.Schema,
    manifest: Manifest,
    name: str,
    index: int,
    ledger: LoadLedger,
) -> None:
    """Try again what waited for an endpoint in earlier runs, then keep what still waits."""
    waiting = ledger.deferred(name, index, schema)
    key = target.key or tuple(dict.fromkeys([*target.source.columns, *target.target.columns]))
    known = waiting.select(list(key))  # whatever becomes of them, what was kept of these is out of date
    waiting = _not_staged_again(waiting, manifest, key)
    if waiting.num_rows:
        part = len(manifest.parts)
        ledger.intend(name, index, part, waiting)
        _write(writer, waiting, part, name, target, ledger)
        ledger.confirm(name, index, part + 1)
    keys: list[dict[str, Any]] = list(getattr(writer, "deferred", []))
    rows = pa.Table.from_pylist(keys) if keys else schema.empty_table()
    ledger.defer(name, index, _rows_of(manifest, waiting, rows, schema), key, known)


def _not_staged_again(waiting: pa.Table, manifest: Manifest, key: tuple[str, ...]) -> pa.Table:
    """Waiting rows of whose keys this run says nothing new; a held one keeps what is known of it."""
    if waiting.num_rows:
        for batch in manifest.iter_batches(_present(manifest, [*key])):
            staged = _without_held(pa.Table.from_batches([batch]))
            if staged.num_rows:
                waiting = matching_rows(waiting, staged, list(key), "left anti")
    return waiting


def matching_rows(rows: pa.Table, keys: pa.Table, names: list[str], how: Literal["left semi", "left anti"]) -> pa.Table:
    """Rows whose columns `names` are, or are not, among `keys`, in their order; other columns may be of any type."""
    place = "_wb_place"
    numbered = rows.select(names).append_column(place, pa.array(range(rows.num_rows), pa.int64()))
    wanted = keys.select(names).cast(rows.select(names).schema).group_by(names).aggregate([])
    return rows.take(numbered.join(wanted, keys=names, join_type=how).column(place).sort())


def _rows_of(manifest: Manifest, waiting: pa.Table, keys: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows, staged or waiting, that a writer named as deferred."""
    if keys.num_rows == 0:
        return schema.empty_table()
    names = [name for name in keys.column_names if name in schema.names]

    def matching() -> Iterator[pa.Table]:
        for batch in manifest.iter_batches(_present(manifest, schema.names)):
            rows = pa.Table.from_batches([batch])
            if OP in rows.column_names:
                rows = rows.filter(pc.equal(rows.column(OP), UPSERT)).select(schema.names)
            yield matching_rows(rows, keys, names, "left semi")
        yield matching_rows(waiting, keys, names, "left semi")

    return pa.concat_tables(list(matching()), promote_options="permissive")
