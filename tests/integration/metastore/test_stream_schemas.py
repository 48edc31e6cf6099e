"""Versions of a stream's schema, with what is different in words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from data_workbench.connectors.base import Stream
from data_workbench.metastore import Metastore, stream_schemas
from data_workbench.pipelines.schema_history import keep_schemas

FIRST = pa.schema([pa.field("id", pa.int64(), nullable=False), ("name", pa.string())])
SECOND = FIRST.append(pa.field("size", pa.int32()))


def keep(store: Metastore, schema: pa.Schema) -> None:
    keep_schemas(store, {("site", "public.items"): Stream("public.items", schema)})


def test_a_version_for_each_change_and_none_for_the_same(store: Metastore) -> None:
    for schema in (FIRST, FIRST, SECOND, SECOND, FIRST):
        keep(store, schema)
    versions = stream_schemas.history(store, "site", "public.items")
    assert [one.version for one in versions] == [3, 2, 1]
    assert [one.changes for one in versions] == [["size is gone"], ["size is new"], []]
    assert [column["name"] for column in versions[1].columns] == ["id", "name", "size"]
    assert stream_schemas.history(store, "site", "other") == []


def test_what_has_no_words_is_no_version(store: Metastore) -> None:
    keep(store, FIRST)
    keep(store, pa.schema([FIRST.field(0), FIRST.field(1).with_metadata({b"comment": b"the name"})]))
    assert len(stream_schemas.history(store, "site", "public.items")) == 1


def test_runs_that_see_a_change_at_once_make_one_version(store: Metastore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: keep(store, FIRST), range(8)))
    assert len(stream_schemas.history(store, "site", "public.items")) == 1
