"""What a Parquet file tells of itself before a row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData


def rows_at_once(footer: FileMetaData, *, rows: int, size: int) -> int:
    """Rows of a batch that keeps to both limits, as far as the footer lets it be told: bytes before compression."""
    told = sum(footer.row_group(index).total_byte_size for index in range(footer.num_row_groups))
    return max(1, min(rows, size * footer.num_rows // max(told, 1)))
