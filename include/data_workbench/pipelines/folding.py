"""Rows that share a merge key become one before they are loaded: the last staged wins, the rest count as collapsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_workbench.mapping.targets import LoadContext, RelationshipTarget, Target
from data_workbench.pipelines.targets import target_columns
from data_workbench.records.marks import HELD, OP, RETRACTION, UPSERT
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from data_workbench.artifacts import ArtifactStore, Manifest
    from data_workbench.pipelines.load import LoadInput
    from data_workbench.settings import Settings

_TEMPORARY = "_wb_place"


def needs_folding(target: Target, given: LoadInput) -> bool:
    """Whether two staged rows may share the target's merge key."""
    if isinstance(target, RelationshipTarget) or not target.key:
        return False
    return not (given.key_is_unique and given.key and set(given.key) <= set(target.key))


def fold(
    target: Target, given: LoadInput, context: LoadContext, artifacts: ArtifactStore, settings: Settings
) -> tuple[Manifest, int]:
    """The artifact to load, one row per merge key, and how many rows were folded away.

    An upsert wins over a tombstone or retraction of the same key, whatever their order: it says the key exists. So
    does a held row, whose key may exist.
    """
    if not needs_folding(target, given):
        return given.manifest, 0
    name = f"load.{context.destination}.{context.target_index}"
    found = artifacts.find(context.pipeline, context.run_id, name)
    if found is None:
        found = _write_folded(name, target, given, context, artifacts, settings)
    return found, int(found.extra["collapsed"])


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
    with duckdb.connect(":memory:", config={"threads": settings.duckdb_threads}) as connection:
        connection.execute(f"SET memory_limit = '{settings.duckdb_memory}'")
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("staged", given.manifest.reader(listed))
        connection.execute(f"CREATE TEMP TABLE rows AS SELECT *, row_number() OVER () AS {_TEMPORARY} FROM staged")
        connection.execute(
            f"CREATE TEMP TABLE kept AS SELECT {_TEMPORARY} FROM rows "
            f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1"
        )
        counted = f"{quoted(OP)} NOT IN ('{RETRACTION}', '{HELD}')" if marked else "true"
        gone = connection.execute(
            f"SELECT count(*) FILTER ({counted}) FROM rows WHERE {_TEMPORARY} NOT IN (SELECT {_TEMPORARY} FROM kept)"
        ).fetchall()
        reader = connection.sql(
            f"SELECT {', '.join(quoted(column) for column in listed)} FROM rows "
            f"SEMI JOIN kept USING ({_TEMPORARY}) ORDER BY {_TEMPORARY}"
        ).to_arrow_reader(settings.batch_rows)
        with artifacts.begin(context.pipeline, context.run_id, name, schema) as writer:
            for batch in reader:
                writer.write(batch.cast(schema))
            return writer.finish(extra={"collapsed": int(gone[0][0])})
