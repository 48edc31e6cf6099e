"""An archive being written: parts first, then what its rows have in graph and vectors, the manifest last."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.archive import parts
from data_workbench.archive.cold import ContentSum
from data_workbench.archive.entities import Entities
from data_workbench.archive.manifest import FORM, FORMAT, Manifest, PartFacts, Written, new_archive_id
from data_workbench.archive.policy import Compression, Policy
from data_workbench.errors import BalanceError
from data_workbench.events import emit

if TYPE_CHECKING:
    from data_workbench.archive.running import Archiver, Outcome, Table
    from data_workbench.archive.source import Batch, Eligible


class Draft:
    """An archive being written: parts first, the manifest last."""

    def __init__(self, archiver: Archiver, eligible: Eligible, batch: Batch, table: Table, outcome: Outcome) -> None:
        self._archiver, self._eligible, self._batch, self._table = archiver, eligible, batch, table
        self._outcome = outcome
        self._created = datetime.now(UTC)
        self._archive = new_archive_id(self._created, secrets.token_hex(6))
        self._total = ContentSum()
        self._parts: list[PartFacts] = []
        self._keys: list[pa.Table] = []
        self._raw = 0

    def add(self, rows: pa.Table) -> None:
        """Write a part."""
        policy, key = self._eligible.policy, self._table.origin.key
        content = parts.encoded(rows, key, self._compression(rows))
        name = self._archiver.shelf.put_part(policy.archive, self._archive, content)
        self._parts.append(part_facts(rows, name, len(content), self._total.add(rows), key[0], policy))
        self._keys.append(rows.select(list(key)))
        self._raw += rows.nbytes
        emit("archive.part", archive=self._archive, rows=rows.num_rows, bytes=len(content))

    def publish(self, source: str) -> Manifest:
        """Write the manifest. Raises BalanceError if the server counts other rows than were read."""
        policy, total = self._eligible.policy, self._total
        total.close()
        counted = int(source.partition(":")[0])
        if counted != total.rows:
            raise BalanceError(
                f"archive {self._archive}: {total.rows} rows were read, PostgreSQL counts {counted} in one snapshot",
                hint="this is a defect of the workbench; nothing was deleted",
            )
        shelf, key = self._archiver.shelf, self._table.origin.key
        with Entities(policy, key, self._archiver.connections) as entities:
            extras = entities.write(pa.concat_tables(self._keys), shelf, policy.archive, self._archive)
        compression = self._compression(None)
        size = sum(part.bytes for part in self._parts)
        manifest = Manifest(
            form=FORM,
            format=FORMAT,
            archive=self._archive,
            shelf=self._archiver.shelf.id,
            policy=policy.archive,
            definition=definition_of(policy),
            partition=self._batch.partition,
            created=self._created,
            origin=self._table.origin,
            columns=self._table.dataset.facts,
            rows=total.rows,
            content=total.text,
            source_content=source,
            written=Written(
                codec="zstd",
                level=compression.level,
                row_group=compression.row_group,
                raw_bytes=self._raw,
                percent=round(100 * size / self._raw) if self._raw else 100,
            ),
            parts=tuple(self._parts),
            extras=extras,
            retained_until=policy.retained_until(self._created),
            legal_hold=policy.hold,
        )
        self._archiver.shelf.publish(manifest)
        return manifest

    def _compression(self, rows: pa.Table | None) -> Compression:
        if self._eligible.policy.compression is not None:
            return self._eligible.policy.compression
        if not self._outcome.trials:
            assert rows is not None
            best, self._outcome.trials = parts.choose(rows.slice(0, parts.SAMPLE_ROWS), self._table.origin.key)
            self._outcome.trials.sort(key=lambda one: one.compression != best)
        return self._outcome.trials[0].compression


def part_facts(rows: pa.Table, name: str, size: int, content: str, key: str, policy: Policy) -> PartFacts:
    """What a manifest tells of a part."""
    first, last = parts.bounds(rows, key)
    first_time, last_time = parts.bounds(rows, policy.age.column)
    return PartFacts(
        sha256=name,
        bytes=size,
        rows=rows.num_rows,
        content=content,
        first=first,
        last=last,
        first_time=first_time,
        last_time=last_time,
        attributes=parts.attributes(rows, policy.attributes or ()),
    )


def definition_of(policy: Policy) -> dict[str, Any]:
    """A policy as manifests keep it."""
    return policy.model_dump(mode="json", exclude_none=True, by_alias=True)
