"""An archive being written: parts first, then what its rows have in graph and vectors, the manifest last."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.archive import parts
from data_workbench.archive.cold import ContentSum
from data_workbench.archive.entities import Entities
from data_workbench.archive.manifest import (
    FORM,
    FORMAT,
    ExtraFacts,
    Kin,
    Link,
    Manifest,
    Origin,
    PartFacts,
    Written,
    new_archive_id,
)
from data_workbench.archive.policy import Policy
from data_workbench.events import emit

if TYPE_CHECKING:
    from data_workbench.archive.running import Archiver
    from data_workbench.archive.source import Dataset


class Draft:
    """An archive being written: parts first, the manifest last.

    Args:
        name: the policy's, or that of a table whose rows go along.
        definition: the policy, as the manifest keeps it.
        layout: how parts are written, found out with the first; archives of a table share it.
    """

    def __init__(
        self,
        archiver: Archiver,
        name: str,
        definition: Policy,
        dataset: Dataset,
        *,
        origin: Origin,
        partition: str,
        layout: parts.Layout,
    ) -> None:
        self._archiver, self._policy, self._dataset = archiver, definition, dataset
        self._origin, self._partition, self._layout = origin, partition, layout
        self._created = datetime.now(UTC)
        self.kin = Kin(policy=name, archive=new_archive_id(self._created))
        self._total = ContentSum()
        self._pool = ThreadPoolExecutor(1)
        self._counting: Future[PartFacts] | None = None
        self._parts: list[PartFacts] = []
        self._keys: list[pa.Table] = []
        self._raw = 0

    def add(self, rows: pa.Table) -> None:
        """Write a part; its content is counted beside the reading and writing of the next."""
        key = self._origin.key
        content = parts.encoded(rows, key, self._layout.settle(rows, key), self._layout.encodings)
        name = self._archiver.shelf.put_part(self.kin.policy, self.kin.archive, content)
        self._counted()
        self._counting = self._pool.submit(self._facts, rows, name, len(content))
        if self._policy.graph is not None or self._policy.vectors is not None:
            self._keys.append(rows.select(list(key)))
        self._raw += rows.nbytes
        emit("archive.part", archive=self.kin.archive, rows=rows.num_rows, bytes=len(content))

    def publish(self, *, took: tuple[Kin, ...] = (), root: Kin | None = None, links: tuple[Link, ...] = ()) -> Manifest:
        """Write the manifest."""
        total, shelf = self._total, self._archiver.shelf
        self._counted()
        self.close()
        compression = self._layout.compression
        assert compression is not None
        size = sum(part.bytes for part in self._parts)
        manifest = Manifest(
            form=FORM,
            format=FORMAT,
            archive=self.kin.archive,
            shelf=shelf.id,
            policy=self.kin.policy,
            definition=definition_of(self._policy),
            partition=self._partition,
            created=self._created,
            origin=self._origin,
            columns=self._dataset.facts,
            rows=total.rows,
            content=total.text,
            written=Written(
                codec="zstd",
                level=compression.level,
                row_group=compression.row_group,
                raw_bytes=self._raw,
                percent=round(100 * size / self._raw) if self._raw else 100,
            ),
            parts=tuple(self._parts),
            extras=self._beside(),
            retained_until=self._policy.retained_until(self._created),
            legal_hold=self._policy.hold,
            took=took,
            root=root,
            links=links,
        )
        shelf.publish(manifest)
        return manifest

    def close(self) -> None:
        """Give threads and memory back; a draft that is not published is nothing."""
        self._pool.shutdown(cancel_futures=True)
        self._total.close()

    def _facts(self, rows: pa.Table, name: str, size: int) -> PartFacts:
        return part_facts(rows, name, size, self._total.add(rows), self._origin.key[0], self._policy)

    def _counted(self) -> None:
        """Wait for what is being counted: one part at most is kept for it."""
        if self._counting is not None:
            self._parts.append(self._counting.result())
            self._counting = None

    def _beside(self) -> tuple[ExtraFacts, ...]:
        """What the rows have in graph and vectors."""
        if not self._keys:
            return ()
        with Entities(self._policy, self._origin.key, self._archiver.connections) as entities:
            keys = pa.concat_tables(self._keys)
            return entities.write(keys, self._archiver.shelf, self.kin.policy, self.kin.archive)


def part_facts(rows: pa.Table, name: str, size: int, content: str, key: str, policy: Policy) -> PartFacts:
    """What a manifest tells of a part."""
    first, last = parts.bounds(rows, key)
    # Rows that are taken along have no age of their own.
    has_age = policy.age.column in rows.column_names
    first_time, last_time = parts.bounds(rows, policy.age.column) if has_age else ("", "")
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
