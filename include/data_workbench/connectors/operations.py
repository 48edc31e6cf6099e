"""What the rows of a part ask for: to stand in the store, to be deleted, to be taken back."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.records import marks
from data_workbench.records.accounting import WriteCounts


@dataclass(frozen=True)
class Operations:
    """A part, split by `records.marks.OP`; columns beginning with `_wb_` are gone."""

    upserts: pa.Table
    tombstones: pa.Table
    retractions: pa.Table

    def ignoring_deletes(self) -> WriteCounts:
        """Counts of an append or replace, which ask nothing of tombstones."""
        return WriteCounts(
            out=self.upserts.num_rows + self.tombstones.num_rows,
            inserted=self.upserts.num_rows,
            unchanged=self.tombstones.num_rows,
        )


def split_operations(part: pa.Table) -> Operations:
    """Sort a part's rows by what they ask; without the column all of them are upserts."""
    plain = part.select([name for name in part.column_names if not name.startswith(marks.PREFIX)])
    if marks.OP not in part.column_names:
        nothing = plain.slice(0, 0)
        return Operations(plain, nothing, nothing)
    asked = part.column(marks.OP)
    return Operations(
        *(plain.filter(pc.equal(asked, mark)) for mark in (marks.UPSERT, marks.TOMBSTONE, marks.RETRACTION))
    )
