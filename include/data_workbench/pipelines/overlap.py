"""Rows an incremental read will meet again, kept as fingerprints so that they are known when they come.

The next read begins behind the watermark (ties, the declared lag, transactions that were still open). Which of this
run's rows lie there is decided when the run is staged; their fingerprints go into the metastore with the position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_workbench.pipelines.plan import DELETED
from data_workbench.records.fingerprints import FINGERPRINT, fingerprint_sql
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from data_workbench.artifacts import Manifest
    from data_workbench.pipelines.plan import SourcePlan
    from data_workbench.settings import Settings

SCHEMA = pa.schema([pa.field(FINGERPRINT, pa.string())])
_SIZE = 16


def write_overlap(content: bytes | None, path: Path) -> Path:
    """Fingerprints of rows already seen, as the side input the engine reads."""
    data = content or b""
    texts = [data[start : start + _SIZE].hex() for start in range(0, len(data), _SIZE)]
    pq.write_table(pa.table([pa.array(texts, pa.string())], schema=SCHEMA), path)
    return path


def collect_overlap(
    plan: SourcePlan, landed: Manifest, position: Mapping[str, Any], before: bytes | None, settings: Settings
) -> bytes:
    """Fingerprints of all rows the next read may bring again.

    Args:
        position: what the reading reached; `unsettled` means rows of any cursor value may come again.
        before: the overlap this run began with.
    """
    if plan.cursor is None:
        return b""
    fresh = _fingerprints(plan, landed, None if position.get("unsettled") else position, settings)
    kept = _split(before) if position.get("unsettled") or landed.rows == 0 else set()
    return b"".join(sorted(fresh | kept))


def fresh_keys(plan: SourcePlan, landed: Manifest, seen: bytes | None, settings: Settings) -> Iterator[pa.Table]:
    """Keys of landed rows that were not known from an earlier run, a part at a time."""
    import duckdb

    from data_workbench.transforms.landing import readable_schema

    known = pa.table({FINGERPRINT: pa.array([one.hex() for one in _split(seen)], pa.string())})
    keys = ", ".join(map(quoted, plan.key))
    with duckdb.connect(":memory:", config={"threads": settings.duckdb_threads}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("known", known)
        for part in range(len(landed.parts)):
            connection.register("part", landed.read_part(part).cast(readable_schema(landed.schema)))
            is_known = f"{fingerprint_sql(landed.schema)} IN (SELECT {FINGERPRINT} FROM known)"
            fresh = connection.sql(f"SELECT {keys} FROM part WHERE NOT {is_known}").to_arrow_table()
            yield fresh.cast(pa.schema([landed.schema.field(name) for name in plan.key]))
            connection.unregister("part")


def _split(content: bytes | None) -> set[bytes]:
    data = content or b""
    return {data[start : start + _SIZE] for start in range(0, len(data), _SIZE)}


def _fingerprints(
    plan: SourcePlan, landed: Manifest, position: Mapping[str, Any] | None, settings: Settings
) -> set[bytes]:
    """Of all landed columns, as the engine takes them; a detected deletion is no row that can come again."""
    import duckdb

    from data_workbench.transforms.landing import readable_schema

    schema, readable = landed.schema, readable_schema(landed.schema)
    cursor = quoted(str(plan.cursor))
    found: set[bytes] = set()
    with duckdb.connect(":memory:", config={"threads": settings.duckdb_threads}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for part in range(len(landed.parts)):
            connection.register("part", landed.read_part(part, schema.names).cast(readable))
            condition, values = _near(cursor, plan, schema, position)
            if plan.detect:
                condition = f'({condition}) AND "{DELETED}" IS NOT TRUE'
            sql = f"SELECT DISTINCT {fingerprint_sql(schema)} FROM part WHERE {condition}"
            found |= {bytes.fromhex(row[0]) for row in connection.execute(sql, values).fetchall()}
            connection.unregister("part")
    return found


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
    return f"{cursor} IS NULL OR {cursor} >= {bound}", [position["watermark"]]
