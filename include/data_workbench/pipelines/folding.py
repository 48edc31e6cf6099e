"""What a keyed target can take of a staged node: one row of each key, the last staged; none whose key is NULL.

Rows folded away count as collapsed; rows without a key go to the quarantine. Loads and comparisons see the same rows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from data_workbench.mapping.targets import LoadContext, RelationshipTarget, Target
from data_workbench.pipelines.targets import target_columns
from data_workbench.records.marks import HELD, OP, RETRACTION, UPSERT
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.artifacts import ArtifactStore, Manifest
    from data_workbench.pipelines.load import LoadInput
    from data_workbench.settings import Settings

_TEMPORARY = "_wb_place"


def needs_folding(target: Target, given: LoadInput) -> bool:
    """Whether two staged rows may share the target's merge key."""
    if isinstance(target, RelationshipTarget) or not target.key:
        return False
    return not (given.key_is_unique and given.key and set(given.key) <= set(target.key))


class Folded(NamedTuple):
    """The artifact to load, how many rows were folded away, and how many have a NULL in their key."""

    manifest: Manifest
    collapsed: int = 0
    unkeyed: int = 0


def fold(
    target: Target, given: LoadInput, context: LoadContext, artifacts: ArtifactStore, settings: Settings
) -> Folded:
    """The rows to load.

    An upsert wins over a tombstone or retraction of the same key, whatever their order: it says the key exists. So
    does a held row, whose key may exist.
    """
    if not needs_folding(target, given) and not _may_lack_key(target, given):
        return Folded(given.manifest)
    name = f"load.{context.destination}.{context.target_index}"
    found = artifacts.find(context.pipeline, context.run_id, name)
    if found is None:
        found = _write_folded(name, target, given, context, artifacts, settings)
    return Folded(found, int(found.extra["collapsed"]), int(found.extra.get("unkeyed", 0)))


def _may_lack_key(target: Target, given: LoadInput) -> bool:
    """Whether a column of the target's key that is none of the row's own key holds a NULL."""
    if isinstance(target, RelationshipTarget):
        return False
    loose = [column for column in target.key if column not in given.key]
    return bool(loose) and any(
        column.null_count for batch in given.manifest.iter_batches(loose) for column in batch.columns
    )


def unkeyed_rows(target: Target, given: LoadInput) -> Iterator[pa.Table]:
    """The rows that `fold` leaves out for a NULL in their key, with all columns the target takes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = target_columns(target, given.schema.names)
    listed = [*columns, OP] if OP in given.manifest.schema.names else columns
    for batch in given.manifest.iter_batches(listed):
        mask = functools.reduce(pc.or_, (pc.is_null(batch.column(column)) for column in target.key))
        if OP in listed:
            mask = pc.and_(mask, pc.equal(batch.column(OP), UPSERT))
        found = batch.filter(mask)
        if found.num_rows:
            yield pa.Table.from_batches([found]).select(columns)


def _write_folded(
    name: str, target: Target, given: LoadInput, context: LoadContext, artifacts: ArtifactStore, settings: Settings
) -> Manifest:
    import duckdb

    columns = target_columns(target, given.schema.names)
    marked = OP in given.manifest.schema.names
    listed = [*columns, OP] if marked else columns
    schema = given.manifest.select(listed)
    keys = ", ".join(quoted(column) for column in target.key)
    rank = f"CASE {quoted(OP)} WHEN '{UPSERT}' THEN 0 WHEN '{HELD}' THEN 1 ELSE 2 END"
    order = f"{rank}, {_TEMPORARY} DESC" if marked else f"{_TEMPORARY} DESC"
    lacking = " OR ".join(f"{quoted(column)} IS NULL" for column in target.key)
    unkeyed = f"({lacking}) AND {quoted(OP)} = '{UPSERT}'" if marked else f"({lacking})"
    spill = settings.home / "tmp" / "fold"
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": settings.duckdb_threads,
        "memory_limit": settings.duckdb_memory,
        "temp_directory": str(spill),
    }
    with duckdb.connect(":memory:", config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("staged", given.manifest.reader(listed))
        connection.execute(f"CREATE TEMP TABLE rows AS SELECT *, row_number() OVER () AS {_TEMPORARY} FROM staged")
        connection.execute(
            f"CREATE TEMP TABLE kept AS SELECT {_TEMPORARY} FROM rows WHERE NOT ({unkeyed}) "
            f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1"
        )
        counted = f"{quoted(OP)} NOT IN ('{RETRACTION}', '{HELD}')" if marked else "true"
        [(lost, gone)] = connection.execute(
            f"SELECT count(*) FILTER ({unkeyed}), count(*) FILTER ({counted} AND NOT ({unkeyed})) "
            f"FROM rows WHERE {_TEMPORARY} NOT IN (SELECT {_TEMPORARY} FROM kept)"
        ).fetchall()
        reader = connection.sql(
            f"SELECT {', '.join(quoted(column) for column in listed)} FROM rows "
            f"SEMI JOIN kept USING ({_TEMPORARY}) ORDER BY {_TEMPORARY}"
        ).to_arrow_reader(settings.batch_rows)
        with artifacts.begin(context.pipeline, context.run_id, name, schema) as writer:
            for batch in reader:
                writer.write(batch.cast(schema))
            return writer.finish(extra={"collapsed": int(gone), "unkeyed": int(lost)})
