"""Schema policies against what the last successful run saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from data_workbench.connectors.base import Stream
from data_workbench.errors import SchemaConflict
from data_workbench.language.spec_source import Source
from data_workbench.pipelines.drift import apply_policy
from data_workbench.pipelines.plan import SourcePlan, encode_schema

OLD = pa.schema([("id", pa.int64()), ("name", pa.string())])
BEFORE = SourcePlan(
    connection="c",
    stream="s",
    columns=("id", "name"),
    schema=encode_schema(OLD),
    key=("id",),
    key_is_unique=True,
    cursor=None,
    lag=None,
    incremental=False,
    full_reason=None,
    where=None,
    where_pushed=True,
    params=(),
    tombstone_when=None,
    detect=False,
    schema_policy="evolve",
)
GROWN = OLD.append(pa.field("note", pa.string()))


def judge(policy: str, schema: pa.Schema, before: SourcePlan | None = BEFORE, **source: Any) -> tuple[Any, Any]:
    spec = Source.model_validate({"connection": "c", "stream": "s", "schema_policy": policy, **source})
    found = apply_policy("rows", spec, Stream("s", schema), before)
    return found.columns, found.discard


@pytest.mark.parametrize(
    ("policy", "visible", "discarding"),
    [
        ("evolve", ("id", "name", "note"), ()),
        ("discard_value", ("id", "name"), ()),
        ("discard_row", ("id", "name"), ("note",)),
    ],
)
def test_a_new_column_is_taken_left_out_or_discards_its_rows(policy: str, visible: Any, discarding: Any) -> None:
    assert judge(policy, GROWN) == (visible, discarding)


@pytest.mark.parametrize("policy", ["evolve", "freeze", "discard_row", "discard_value"])
def test_nothing_is_judged_in_the_first_run_or_where_nothing_changed(policy: str) -> None:
    assert judge(policy, GROWN, before=None) == (("id", "name", "note"), ())
    assert judge(policy, OLD) == (("id", "name"), ())


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (GROWN, "note is new"),
        (pa.schema([("id", pa.int64())]), "name is gone"),
        (pa.schema([("id", pa.int32()), ("name", pa.string())]), "id was int64, is int32"),
    ],
)
def test_freeze_refuses_every_change_and_names_it(schema: pa.Schema, said: str) -> None:
    with pytest.raises(SchemaConflict, match=said):
        judge("freeze", schema)


def test_a_list_in_the_file_is_exact_under_every_policy() -> None:
    assert judge("evolve", GROWN, columns=["name", "id"]) == (("name", "id"), ())
    assert judge("freeze", GROWN, columns=["id", "name"]) == (("id", "name"), ())
    with pytest.raises(SchemaConflict, match="no column 'nmae'") as caught:
        judge("evolve", GROWN, columns=["id", "nmae"])
    assert caught.value.hint == "did you mean 'name'?"


def test_a_column_that_was_landed_hidden_is_not_new() -> None:
    hidden = replace(BEFORE, columns=("id",))
    assert judge("discard_value", OLD, before=hidden) == (("id", "name"), ())
