"""How old the newest row is: by dates, by timestamps, and by texts that say moments, as payloads and documents do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.errors import SchemaConflict
from data_workbench.quality.standalone.finders import GIVEN
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def newest(connection: DuckDBPyConnection, item: pa.Field) -> tuple[float | None, str | None]:
    """The newest moment of a column, as seconds since 1970 and in words; None of both if there is none.

    Raises:
        SchemaConflict: the column holds something else than moments.
    """
    hint = "derive a timestamp from it"
    moment = quoted(item.name)
    if pa.types.is_string(item.type) or pa.types.is_large_string(item.type):
        moment = f"TRY_CAST({moment} AS TIMESTAMPTZ)"
        wrong = f"SELECT count(*) FROM {GIVEN} WHERE {quoted(item.name)} IS NOT NULL AND {moment} IS NULL"
        [[failing]] = connection.execute(wrong).fetchall()
        if failing:
            raise SchemaConflict(f"{failing} values of {item.name!r} are texts that say no moment", hint=hint)
    elif not (pa.types.is_date(item.type) or pa.types.is_timestamp(item.type)):
        raise SchemaConflict(f"{item.name!r} is {item.type}, no date or timestamp", hint=hint)
    sql = f"SELECT epoch(max({moment})), CAST(max({moment}) AS VARCHAR) FROM {GIVEN}"
    [(seconds, told)] = connection.execute(sql).fetchall()
    return seconds, told
