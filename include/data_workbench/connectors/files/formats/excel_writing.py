"""Rows to one sheet of a workbook, a row at a time: xlsxwriter keeps them on disk until the end."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import IO, Any

import pyarrow as pa

from data_workbench.connectors.files.formats.excel_cells import MOST_DIGITS
from data_workbench.errors import SchemaConflict, Unsupported
from data_workbench.mapping.text_values import to_text

MOST_ROWS = 1_048_576
MOST_COLUMNS = 16_384
MOST_CHARACTERS = 32_767
_FIRST_DAY = -25508  # 1900-03-01 in days from 1970: before, Excel counts a day that was none
_LAST_DAY = 2_932_896  # 9999-12-31
_DAY_MS = 86_400_000


class _Number(float):
    """xlsxwriter writes 16 digits; some numbers need 17."""

    def __format__(self, _spec: str) -> str:
        return repr(float(self))


class ExcelEncoder:
    """One sheet `rows` with a header."""

    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        import xlsxwriter

        if len(schema) > MOST_COLUMNS:
            raise Unsupported(f"a sheet has {MOST_COLUMNS} columns, {len(schema)} are wanted", hint="write Parquet")
        self._book = xlsxwriter.Workbook(
            handle,
            {
                "constant_memory": True,
                "strings_to_urls": False,
                "strings_to_formulas": False,
                "strings_to_numbers": False,
            },
        )
        self._sheet = self._book.add_worksheet("rows")
        self._formats = {
            name: self._book.add_format({"num_format": form})
            for name, form in (("date", "yyyy-mm-dd"), ("moment", "yyyy-mm-dd hh:mm:ss.000"), ("time", "hh:mm:ss.000"))
        }
        self._row = 0
        for place, name in enumerate(schema.names):
            self._text(place, name)
        self._row = 1

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(max_chunksize=8192):
            if self._row + batch.num_rows > MOST_ROWS:
                raise Unsupported(f"a sheet has {MOST_ROWS} rows, more are wanted", hint="write CSV or Parquet")
            columns = [(_cells(column), _writer(column.type)) for column in batch.columns]
            for number in range(batch.num_rows):
                for place, (cells, writer) in enumerate(columns):
                    if cells[number] is not None:
                        writer(self, place, cells[number])
                self._row += 1

    def close(self) -> None:
        self._book.close()

    def _text(self, place: int, value: Any) -> None:
        text = str(value)
        if text == "":
            self._sheet.write_formula(self._row, place, '=""', None, "")
            return
        if len(text.encode("utf-16-le")) // 2 > MOST_CHARACTERS:
            raise SchemaConflict(
                f"row {self._row}: a text has {len(text)} characters, a cell of Excel holds {MOST_CHARACTERS}",
                hint="shorten it in a step, or write CSV or Parquet",
            )
        bad = next((character for character in text if not _holds(character)), None)
        if bad is not None:
            raise SchemaConflict(
                f"row {self._row}: a text holds the character U+{ord(bad):04X}, which Excel cannot keep",
                hint="remove it in a step, or write CSV or Parquet",
            )
        self._sheet.write_string(self._row, place, text)

    def _boolean(self, place: int, value: bool) -> None:
        self._sheet.write_boolean(self._row, place, value)

    def _integer(self, place: int, value: int) -> None:
        if abs(value) < MOST_DIGITS:
            self._sheet.write_number(self._row, place, value)
        else:
            self._text(place, value)

    def _float(self, place: int, value: float) -> None:
        if math.isfinite(value):
            self._sheet.write_number(self._row, place, _Number(value))
        else:
            self._text(place, value)

    def _decimal(self, place: int, value: Decimal) -> None:
        if len(value.as_tuple().digits) <= 15:
            self._sheet.write_number(self._row, place, _Number(value))
        else:
            self._text(place, value)

    def _serial(self, place: int, value: tuple[float | None, str, str]) -> None:
        number, form, text = value
        if number is None:
            self._text(place, text)
        else:
            self._sheet.write_number(self._row, place, _Number(number), self._formats[form])


def _holds(character: str) -> bool:
    return character in "\t\n" or (character >= " " and character not in "\ufffe\uffff")


def _writer(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return ExcelEncoder._boolean
    if pa.types.is_integer(kind):
        return ExcelEncoder._integer
    if pa.types.is_floating(kind):
        return ExcelEncoder._float
    if pa.types.is_decimal(kind):
        return ExcelEncoder._decimal
    return ExcelEncoder._serial if _is_serial(kind) else ExcelEncoder._text


def _is_serial(kind: pa.DataType) -> bool:
    return pa.types.is_date(kind) or pa.types.is_time(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)


def _cells(column: pa.Array) -> list[Any]:
    kind = column.type
    if _is_serial(kind):
        texts = to_text(column).to_pylist()
        return [None if text is None else (*serial, text) for serial, text in zip(_serials(column), texts, strict=True)]
    plain = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return column.to_pylist() if plain or pa.types.is_decimal(kind) else to_text(column).to_pylist()


def _serials(column: pa.Array) -> list[tuple[float | None, str]]:
    """Days from Excel's epoch, or None where a cell cannot hold the value as such."""
    kind = column.type
    if pa.types.is_date(kind):
        days = column.cast(pa.date32()).cast(pa.int32()).to_pylist()
        return [(None if one is None or not _FIRST_DAY <= one <= _LAST_DAY else one + 25569, "date") for one in days]
    ticks = (column.cast(pa.int32()) if pa.types.is_time32(kind) else column).cast(pa.int64()).to_pylist()
    per_ms = {"s": 0.001, "ms": 1, "us": 1000, "ns": 1_000_000}[kind.unit]
    is_time = pa.types.is_time(kind)
    return [
        (None if one is None else _days(one / per_ms, is_time=is_time), "time" if is_time else "moment")
        for one in ticks
    ]


def _days(milliseconds: float, *, is_time: bool) -> float | None:
    if milliseconds != int(milliseconds):
        return None
    if is_time:
        return milliseconds / _DAY_MS if 0 <= milliseconds < _DAY_MS else None
    day = milliseconds // _DAY_MS
    return milliseconds / _DAY_MS + 25569 if _FIRST_DAY <= day <= _LAST_DAY else None
