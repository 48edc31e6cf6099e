"""What a run tells the journal: each part before it is written and once it is, then the hashes of what was compared.

The order is what makes it safe: a key stands in the journal before it can stand in a store. What was noted and never
confirmed may or may not have been written. See docs/decisions/0033-journal.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_workbench.journal.content import AFTER, encode, keys_of
from data_workbench.mapping.targets import RelationshipTarget, Target
from data_workbench.metastore import journal
from data_workbench.metastore.journal import Cause, Origin
from data_workbench.pipelines.masking import classified
from data_workbench.records.marks import PREFIX

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.work import Work


@dataclass(frozen=True)
class RunJournal:
    """The journal of one run; one that is off notes nothing."""

    metastore: Metastore
    work: Work
    keeps: bool = True

    def intend(
        self, destination: str, index: int, part: int, rows: pa.Table, *, cause: Cause = "load", mark: str | None = None
    ) -> None:
        """Note the keys of a part that is about to be written.

        Args:
            mark: the operation of all rows, if they carry none.
        """
        if self.keeps:
            target = self._target(destination, index)
            shown = self._shown(rows) if self.work.plan.journal == "values" else ()
            hidden = classified(self.work.plan, target.input, shown) if shown else ()
            content = keys_of(rows, identity(target), mark=mark, values=shown, hidden=hidden)
            journal.begin(self.metastore, self._origin(destination, index), cause, part, rows.num_rows, content)

    def intend_whole(self, destination: str, index: int, *, cause: Cause) -> None:
        """Note that something is about to be written whose keys nobody sees."""
        if self.keeps:
            journal.begin(self.metastore, self._origin(destination, index), cause, 0, None, None)

    def confirm(self, destination: str, index: int, parts: int, *, cause: Cause = "load") -> None:
        """Note that the first so many parts are written."""
        if self.keeps and parts:
            journal.confirm(self.metastore, self._origin(destination, index), cause, below=parts)

    def withdraw(self, destination: str, index: int, *, cause: Cause) -> None:
        """Take back what was noted and then not written."""
        if self.keeps:
            journal.withdraw(self.metastore, self._origin(destination, index), cause)

    def compared(self, destination: str, index: int, pages: Iterable[pa.Table]) -> None:
        """Note hashes of rows that were read back as they were written: key columns and `_wb_after`."""
        if not self.keeps:
            return
        origin = self._origin(destination, index)
        for part, page in enumerate(pages):
            assert AFTER in page.column_names
            journal.begin(self.metastore, origin, "compare", part, page.num_rows, encode(page))
            journal.confirm(self.metastore, origin, "compare", below=part + 1)

    def _shown(self, rows: pa.Table) -> list[str]:
        """Columns whose values are noted: what people wrote, neither our marks nor vectors."""
        return [
            item.name
            for item in rows.schema
            if not item.name.startswith(PREFIX) and not (_is_list(item.type) and _is_floating(item.type.value_type))
        ]

    def _target(self, destination: str, index: int) -> Target:
        return self.work.plan.destinations[destination].targets[index]

    def _origin(self, destination: str, index: int) -> Origin:
        connection = self.work.plan.destinations[destination].connection
        target = self._target(destination, index)
        return Origin(
            connection=connection,
            store=self.work.stores.connection(connection).kind,
            kind=target.kind,
            dataset=target.name,
            pipeline=self.work.plan.pipeline,
            definition_hash=self.work.plan.definition_hash,
            run_id=self.work.run_id,
            destination=destination,
            target_index=index,
        )


def _is_list(kind: pa.DataType) -> bool:
    return hasattr(kind, "value_type")


def _is_floating(kind: pa.DataType) -> bool:
    return str(kind) in ("halffloat", "float", "double")


def identity(target: Target) -> tuple[str, ...]:
    """The input's columns that tell which row, node, relationship or point is meant; () if none do."""
    if isinstance(target, RelationshipTarget):
        return tuple(dict.fromkeys([*target.key, *target.source.columns, *target.target.columns]))
    return target.key
