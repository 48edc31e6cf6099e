"""Keeping the schemas that runs meet, as versions with their differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from data_workbench.metastore import stream_schemas
from data_workbench.pipelines.drift import changes_of
from data_workbench.pipelines.plan import columns_of, decode_schema, encode_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.connectors.base import Stream
    from data_workbench.metastore import Metastore


def keep_schemas(metastore: Metastore, described: Mapping[tuple[str, str], Stream]) -> None:
    """Note what a run saw of each stream; one that is as before costs a look.

    Args:
        described: streams by connection and name.
    """
    for (connection_id, name), stream in described.items():
        stream_schemas.note(
            metastore,
            connection_id,
            name,
            schema=encode_schema(stream.schema),
            columns=columns_of(stream.schema),
            differ=_differ(stream.schema),
        )


def _differ(schema: pa.Schema) -> stream_schemas.Differ:
    def differ(before: str) -> list[str]:
        old = decode_schema(before)
        return changes_of(old, schema, old.names, schema.names)

    return differ
