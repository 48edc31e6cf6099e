"""What a run keeps in the metastore while it loads and compares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import Progress, Rejection
from data_workbench.errors import StateError
from data_workbench.mapping.targets import Target
from data_workbench.metastore import deferred, fingerprints, quarantine, stages
from data_workbench.metastore.fingerprints import Fingerprint
from data_workbench.records.accounting import WriteCounts
from data_workbench.records.marks import STAMP_MODEL, STAMP_TEXT_HASH
from data_workbench.records.values import key_text, rows_of, table_of

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.journal import Cause
    from data_workbench.pipelines.journaling import RunJournal

VECTOR_HASH = "_wb_vector_hash"


@dataclass(frozen=True)
class RunLedger:
    """The LoadLedger of one run."""

    metastore: Metastore
    pipeline: str
    run_id: str
    journal: RunJournal

    def intend(self, destination: str, index: int, part: int, rows: pa.Table) -> None:
        """Note the keys of a part in the journal, before it is written."""
        self.journal.intend(destination, index, part, rows)

    def intend_whole(self, destination: str, index: int, *, cause: Cause) -> None:
        """Note in the journal that something is about to be written whose keys nobody sees."""
        self.journal.intend_whole(destination, index, cause=cause)

    def confirm(self, destination: str, index: int, parts: int, *, cause: Cause = "load") -> None:
        """Note in the journal that the first so many parts are written."""
        self.journal.confirm(destination, index, parts, cause=cause)

    def progress(self, destination: str, index: int) -> Progress:
        """How far this run's load of a target is known to have come."""
        found = stages.stage_results(self.metastore, self.run_id).get(_stage(destination, index))
        if found is None or not found.counts:
            return Progress()
        return Progress(int(found.counts["parts"]), WriteCounts.from_dict(found.counts["counts"]))

    def advance(self, destination: str, index: int, progress: Progress) -> None:
        """Note how far it came."""
        name = _stage(destination, index)
        counts = {"parts": progress.parts, "counts": progress.counts.as_dict()}
        try:
            stages.finish_stage(self.metastore, self.run_id, name, counts=counts)
        except StateError:  # the first note, which may come late: a process killed after its first commit left none
            stages.start_stage(self.metastore, self.run_id, name)
            stages.finish_stage(self.metastore, self.run_id, name, counts=counts)

    def reject(self, destination: str, target: Target, rejections: list[Rejection], rows: pa.Table) -> None:
        """Put rows the store refused into the quarantine, whole where their key tells which they are."""
        by_key = _rows_by_key(rejections, rows)
        quarantine.add(
            self.metastore,
            self.pipeline,
            self.run_id,
            [
                quarantine.Rejected(
                    node=destination,
                    rules=[rejection.rule],
                    reason=rejection.reason,
                    row=by_key.get(key_text(rejection.key), dict(rejection.key)),
                    ordinal=_ordinal(target, rejection),
                    key=dict(rejection.key),
                )
                for rejection in rejections
            ],
        )

    def deferred(self, destination: str, index: int, schema: pa.Schema) -> pa.Table:
        """Relationship rows of earlier runs whose endpoint was missing."""
        found = deferred.pending(self.metastore, self.pipeline, destination, target=str(index))
        rows = [one.row for one in found]
        return table_of(rows, schema)

    def defer(self, destination: str, index: int, rows: pa.Table, key: tuple[str, ...], known: pa.Table) -> None:
        """Keep the rows that wait now; of keys in `known`, which waited before, forget those that do not."""
        pairs = [({name: row[name] for name in key}, row) for row in rows_of(rows)]
        # Kept first and forgotten afterwards: a process killed in between loses none.
        if pairs:
            deferred.put(self.metastore, self.pipeline, destination, str(index), run_id=self.run_id, rows=pairs)
        still = {key_text(one) for one, _ in pairs}
        gone = [one for one in rows_of(known) if key_text(one) not in still]
        if gone:
            deferred.drop_keys(self.metastore, self.pipeline, destination, str(index), gone)


def _stage(destination: str, index: int) -> str:
    return f"load.{destination}.{index}"


def _ordinal(target: Target, rejection: Rejection) -> int:
    """A number that is the same for the same row and target, so that a repeated part adds nothing."""
    import hashlib

    text = f"{target.name}\x00{rejection.rule}\x00{key_text(rejection.key)}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _rows_by_key(rejections: list[Rejection], rows: pa.Table) -> dict[str, Mapping[str, Any]]:
    names = [name for name in rejections[0].key if name in rows.column_names]
    if not names or len(rejections) > 10_000:
        return {}
    wanted = {key_text(rejection.key) for rejection in rejections}
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows_of(rows):
        text = key_text({name: row[name] for name in names})
        if text in wanted:
            found[text] = row
    return found


@dataclass(frozen=True)
class FingerprintBook:
    """The VectorBook of one run."""

    metastore: Metastore
    run_id: str

    def known(
        self, dataset: str, schema: pa.Schema, key: tuple[str, ...], keys: Iterable[pa.Table] | None
    ) -> Iterator[pa.Table]:
        """Pages of the fingerprints kept, keys in their columns' types: of these keys, or of the whole collection."""
        connection, _, collection = dataset.partition(":")
        hashes = [pa.field(name, pa.string()) for name in (VECTOR_HASH, STAMP_TEXT_HASH, STAMP_MODEL)]
        wanted = pa.schema([*(schema.field(name) for name in key), *hashes])
        for page in self._pages(connection, collection, key, keys):
            rows = [
                {
                    **json.loads(one.key),
                    VECTOR_HASH: one.vector_hash,
                    STAMP_TEXT_HASH: one.text_hash,
                    STAMP_MODEL: one.model,
                }
                for one in page
            ]
            yield table_of(rows, wanted)

    def _pages(
        self, dataset: str, collection: str, key: tuple[str, ...], keys: Iterable[pa.Table] | None
    ) -> Iterator[Iterable[Fingerprint]]:
        if keys is None:
            yield from fingerprints.scan(self.metastore, dataset, collection)
            return
        for page in keys:
            asked = [key_text(row) for row in rows_of(page.select(list(key)))]
            yield fingerprints.lookup(self.metastore, dataset, collection, asked).values()

    def keep(self, dataset: str, key: tuple[str, ...], fresh: Iterable[pa.Table]) -> None:
        """Keep what stands in the store now."""
        connection, _, collection = dataset.partition(":")
        for page in fresh:
            rows = rows_of(page)
            kept = [
                Fingerprint(
                    key_text({name: row[name] for name in key}),
                    row[VECTOR_HASH],
                    row[STAMP_TEXT_HASH],
                    row[STAMP_MODEL],
                )
                for row in rows
                if row[VECTOR_HASH] is not None
            ]
            fingerprints.upsert(self.metastore, connection, collection, kept, run_id=self.run_id)
