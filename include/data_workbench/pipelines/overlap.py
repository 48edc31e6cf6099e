"""Rows an incremental read will meet again, kept as fingerprints so that they are known when they come.

The next read begins behind the watermark (ties, the declared lag, transactions that were still open). Which of this
run's rows lie there is decided when the run is staged; their fingerprints go into the metastore with the position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_workbench.pipelines.plan import DELETED
from data_workbench.records.fingerprints import FINGERPRINT, fingerprint_sql
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    import duckdb

    from data_workbench.artifacts import Manifest
    from data_workbench.pipelines.plan import SourcePlan
    from data_workbench.settings import Settings

SCHEMA = pa.schema([pa.field(FINGERPRINT, pa.string())])
_SIZE = 16
_PAGE = 65_536


def write_overlap(content: bytes | None, path: Path) -> Path:
    """Fingerprints of rows already seen, as the side input the engine reads."""
    data = content or b""
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for page in range(0, len(data), _PAGE * _SIZE):
            end = min(page + _PAGE * _SIZE, len(data))
            texts = [data[start : start + _SIZE].hex() for start in range(page, end, _SIZE)]
            writer.write_table(pa.table([pa.array(texts, pa.string())], schema=SCHEMA))
    return path


def collect_overlap(
    plan: SourcePlan, landed: Manifest, position: Mapping[str, Any], before: bytes | None, settings: Settings
) -> bytes:
    """Fingerprints of all rows the next read may bring again.

    Args:
        position: what the reading reached; `unsettled` means rows of any cursor value may come again, `settled` that
            none does (a file that has not changed is not read again).
        before: the overlap this run began with.
    """
    if plan.cursor is None or position.get("settled"):
        return b""
    keeps = position.get("unsettled") or landed.rows == 0
    near = None if position.get("unsettled") else position
    with spilling_engine(settings) as engine:
        engine.execute("CREATE TEMP TABLE seen (hash BLOB)")
        if keeps:
            engine.register("before", _hashes(before))
            engine.execute("INSERT INTO seen SELECT hash FROM before")
            engine.unregister("before")
        _add_fingerprints(engine, plan, landed, near)
        content = bytearray()
        for batch in engine.sql("SELECT DISTINCT hash FROM seen ORDER BY hash").to_arrow_reader(_PAGE):
            content += b"".join(batch.column(0).to_pylist())
    return bytes(content)


@contextmanager
def spilling_engine(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that spills: while a transaction stays open at the source, all rows read may come again.

    So may as many keys be written while a source is read in ranges.
    """
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": settings.duckdb_threads,
        "memory_limit": settings.duckdb_memory,
        "temp_directory": str(settings.home / "tmp" / "overlap"),
    }
    with duckdb.connect(":memory:", config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _hashes(content: bytes | None) -> pa.Table:
    """Fingerprints as a column, without a copy."""
    data = content or b""
    kind = pa.binary(_SIZE)
    hashes = pa.Array.from_buffers(kind, len(data) // _SIZE, [None, pa.py_buffer(data)])
    return pa.table({"hash": hashes})


def fresh_keys(plan: SourcePlan, landed: Manifest, seen: bytes | None, settings: Settings) -> Iterator[pa.Table]:
    """Keys of landed rows that were not known from an earlier run, a part at a time."""
    from data_workbench.transforms.landing import readable_schema

    keys = ", ".join(map(quoted, plan.key))
    with spilling_engine(settings) as connection:
        connection.register("known", _hashes(seen))
        for part in landed.tables():
            connection.register("part", part.cast(readable_schema(landed.schema)))
            is_known = f"unhex({fingerprint_sql(landed.schema)}) IN (SELECT hash FROM known)"
            fresh = connection.sql(f"SELECT {keys} FROM part WHERE NOT {is_known}").to_arrow_table()
            yield fresh.cast(pa.schema([landed.schema.field(name) for name in plan.key]))
            connection.unregister("part")


def _add_fingerprints(
    engine: duckdb.DuckDBPyConnection, plan: SourcePlan, landed: Manifest, position: Mapping[str, Any] | None
) -> None:
    """Of all landed columns, as the engine takes them; a detected deletion is no row that can come again."""
    from data_workbench.transforms.landing import readable_schema

    schema, readable = landed.schema, readable_schema(landed.schema)
    condition, values = _near(quoted(str(plan.cursor)), plan, schema, position)
    if plan.detect:
        condition = f'({condition}) AND "{DELETED}" IS NOT TRUE'
    for part in landed.tables():
        engine.register("part", part.cast(readable))
        engine.execute(f"INSERT INTO seen SELECT unhex({fingerprint_sql(schema)}) FROM part WHERE {condition}", values)
        engine.unregister("part")


def _near(
    cursor: str, plan: SourcePlan, schema: pa.Schema, position: Mapping[str, Any] | None
) -> tuple[str, list[object]]:
    """Rows at or behind the watermark by no more than the lag; without a position, all."""
    if position is None or position.get("watermark") is None:
        return "true", []
    kind = schema.field(plan.cursor).type
    name = "TIMESTAMPTZ" if pa.types.is_timestamp(kind) and kind.tz else None
    name = name or ("TIMESTAMP" if pa.types.is_timestamp(kind) else "DATE" if pa.types.is_date(kind) else None)
    watermark = f"CAST(? AS {name})" if name else "?"
    if name is None:
        watermark = f"CAST(? AS {'VARCHAR' if pa.types.is_string(kind) else 'DECIMAL(38, 10)'})"
    lag = plan.lag or 0
    if name:
        bound = f"{watermark} - to_microseconds({int(lag * 1_000_000)})"
    elif pa.types.is_string(kind):
        bound = watermark
    else:
        bound = f"{watermark} - {float(lag)!r}"
    endless = f" OR isinf({cursor})" if name else ""
    if pa.types.is_floating(kind):
        endless = f" OR isinf({cursor}) OR isnan({cursor})"
    return f"{cursor} IS NULL OR {cursor} >= {bound}{endless}", [position["watermark"]]
