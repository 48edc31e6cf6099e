"""Excel workbooks to Arrow: a sheet is a stream, cells keep the types the workbook gives them.

    all cells of the column            column
    numbers without fraction           bigint
    numbers                            double
    booleans; dates; times             the same; dates with times are timestamps
    texts, or of several types         text (a number as its shortest digits)

Formulas give their last computed value. Rows with an error cell (#N/A, #DIV/0!) are rejected. The library behind holds
a sheet in memory, so a workbook is refused beyond 1 GiB of unpacked content.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa

from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.files.formats.excel_cells import from_cells, kind_of
from data_workbench.connectors.files.formats.excel_package import Marks, marks_of
from data_workbench.connectors.files.formats.names import distinct
from data_workbench.connectors.files.formats.opening import Batches, Encoder, Opening
from data_workbench.errors import SchemaConflict, StreamUnknown, UsageError

_BATCH = 8192


def read(opening: Opening) -> Batches:
    """The sheet named by the part, otherwise the first one that is shown."""
    return _Sheet(opening)


def sheets(opening: Opening) -> list[str]:
    """Names of the sheets that are shown."""
    return [one.name for one in _workbook(opening, opening.handle()).sheets_metadata if _is_shown(one)]


def _is_shown(metadata: Any) -> bool:
    return str(metadata.visible).endswith(".Visible") and str(metadata.typ).endswith(".WorkSheet")


def _workbook(opening: Opening, handle: Any) -> Any:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        handle.seek(0)
        return CalamineWorkbook.from_filelike(handle)
    except PasswordError as error:
        raise SchemaConflict(f"{opening.name}: the workbook has a password", hint="save it without one") from error
    except CalamineError as error:
        raise SchemaConflict(
            f"{opening.name}: no workbook, or a damaged one: {str(error)[:200]}", hint="open it and save it again"
        ) from error


class _Sheet:
    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        handle = opening.handle()
        marks = marks_of(opening, handle)
        workbook = _workbook(opening, handle)
        name = self._name(workbook)
        sheet = self._sheet(workbook, name)
        self._marks = marks.get(name, Marks())
        rows = list(sheet.iter_rows())
        first_column = sheet.start[1] if sheet.start else 0
        if opening.options.merged == "fill":
            _fill(rows, sheet.merged_cell_ranges or [], first_column)
        self._begin = opening.options.skip + (1 if opening.options.header else 0)
        self._rows, self._first_column = rows, first_column
        self.names = self._named(rows)
        numbers, columns = self._columns()
        self._numbers = numbers
        fields = self._fields(columns)
        self.schema = pa.schema(fields)
        self._values = {item.name: columns[item.name] for item in fields}

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(self._numbers), _BATCH):
            arrays = []
            for item in self.schema:
                cells = self._values.get(item.name, [None] * len(self._numbers))[start : start + _BATCH]
                try:
                    arrays.append(from_cells(cells, item.type))
                except (SchemaConflict, pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                    first = self._numbers[start]
                    raise SchemaConflict(
                        f"{self._opening.name}: column {item.name!r}, rows from {first}: {str(error)[:200]}",
                        hint=f"read it as text with `options: {{types: {{{item.name}: text}}}}`",
                    ) from error
            yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _name(self, workbook: Any) -> str:
        wanted = self._opening.part
        shown = [one.name for one in workbook.sheets_metadata if _is_shown(one)]
        known = [one.name for one in workbook.sheets_metadata]
        if wanted is not None and wanted not in known:
            raise StreamUnknown(
                f"{self._opening.name}: no sheet {wanted!r}", hint=f"it has {', '.join(map(repr, known[:20]))}"
            )
        if wanted is None and not shown:
            raise StreamUnknown(f"{self._opening.name}: no sheet is shown", hint="name a hidden one after '!'")
        return wanted if wanted is not None else shown[0]

    def _sheet(self, workbook: Any, name: str) -> Any:
        from python_calamine import CalamineError, WorksheetNotFound

        try:
            return workbook.get_sheet_by_name(name)
        except (CalamineError, WorksheetNotFound) as error:
            raise SchemaConflict(f"{self._opening.name}: sheet {name!r} is damaged: {str(error)[:200]}") from error

    def _named(self, rows: list[list[Any]]) -> list[str]:
        options = self._opening.options
        width = max((len(row) for row in rows), default=0)
        head = rows[options.skip] if options.header and len(rows) > options.skip else [""] * width
        if options.columns is not None:
            if width and len(options.columns) != width:
                raise UsageError(
                    f"{self._opening.name}: options.columns names {len(options.columns)} columns, it has {width}",
                    hint="name every column, in order",
                )
            return distinct(options.columns)
        texts = [str(_plain(cell)).strip() for cell in head]
        return distinct([text or f"column_{place}" for place, text in enumerate(texts, 1)])

    def _columns(self) -> tuple[list[int], dict[str, list[Any]]]:
        """Row numbers, and per column the cells below them; rows with errors and empty rows left out."""
        numbers, kept = [], []
        for number, row in enumerate(self._rows[self._begin :], self._begin + 1):
            wrong = self._marks.errors.get(number)
            if wrong:
                self._opening.reject({"row": number}, "excel_error", f"cell {wrong} holds an error")
            elif any(cell != "" for cell in row) or number in self._marks.empty_texts:
                numbers.append(number)
                kept.append([*row, *[""] * (len(self.names) - len(row))])
        empty = self._marks.empty_texts
        columns: dict[str, list[Any]] = {}
        for place, name in enumerate(self.names):
            column = place + self._first_column
            columns[name] = [
                (None if column not in empty.get(number, ()) else "") if row[place] == "" else row[place]
                for number, row in zip(numbers, kept, strict=True)
            ]
        return numbers, columns

    def _fields(self, columns: dict[str, list[Any]]) -> list[pa.Field]:
        if self._opening.schema is not None:
            return [item for item in self._opening.schema if item.name in columns]
        declared = {name: field_of(name, kind) for name, kind in self._opening.options.types.items()}
        unknown = sorted(set(declared) - set(columns))
        if unknown:
            raise StreamUnknown(
                f"{self._opening.name}: options.types names {unknown[0]!r}, which is not a column",
                hint=f"it has {', '.join(columns)}",
            )
        return [declared.get(name) or pa.field(name, kind_of(cells)) for name, cells in columns.items()]


def _plain(cell: Any) -> Any:
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def _fill(rows: list[list[Any]], ranges: list[Any], first_column: int) -> None:
    """Put a merged range's value into all its cells."""
    for (top, left), (bottom, right) in ranges:
        if top >= len(rows) or left - first_column >= len(rows[top]):
            continue
        value = rows[top][left - first_column]
        for row in rows[top : bottom + 1]:
            for place in range(left - first_column, min(right - first_column + 1, len(row))):
                row[place] = value


def write(handle: IO[bytes], schema: pa.Schema) -> Encoder:
    """One sheet with a header row; what a cell cannot hold as such is written as text (see excel_cells.py)."""
    from data_workbench.connectors.files.formats.excel_writing import ExcelEncoder

    return ExcelEncoder(handle, schema)
