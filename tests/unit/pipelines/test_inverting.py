"""What can be read back from where rows went, and why the rest cannot."""

from __future__ import annotations

import pyarrow as pa
import pytest

from data_workbench.mapping.targets import (
    CollectionTarget,
    Embedding,
    Endpoint,
    NodeTarget,
    RelationshipTarget,
    ResourceProperty,
    ResourceTarget,
    TableTarget,
    Target,
)
from data_workbench.pipelines.inverting import lost_by

COLUMNS = pa.schema({"a": pa.int64(), "b": pa.int64(), "text": pa.string(), "tags": pa.list_(pa.string())})
ENDS = (Endpoint("L", ("a",), ("a",)), Endpoint("M", ("b",), ("b",)))
IRI = "https://example.org/"


@pytest.mark.parametrize(
    ("target", "lost"),
    [
        (TableTarget("in", "t", ("a",), "merge"), set()),
        (NodeTarget("in", "L", ("a",), "merge"), set()),
        (NodeTarget("in", "L", ("a", "b"), "merge", ("text",)), {"tags"}),
        (RelationshipTarget("in", "T", *ENDS, "skip", "merge"), {"text", "tags"}),
        (RelationshipTarget("in", "T", *ENDS, "skip", "merge", properties=("text", "tags")), set()),
        (CollectionTarget("in", "c", ("a",), "merge", embed=Embedding("text", "m")), {"text"}),
        (CollectionTarget("in", "c", ("text",), "merge", embed=Embedding("text", "m")), set()),
        (CollectionTarget("in", "c", ("a",), "merge", vector="tags"), {"tags"}),
        (CollectionTarget("in", "c", ("a",), "merge", vector="tags", payload=("b",)), {"text", "tags"}),
        (
            ResourceTarget("in", IRI, IRI + "{a}", IRI, ("a",), "merge", (ResourceProperty("b", IRI + "b"),)),
            {"text", "tags"},
        ),
        (
            ResourceTarget(
                "in", IRI, IRI + "{a}", IRI, ("a",), "merge", (ResourceProperty("tags", IRI, many=True),), IRI
            ),
            {"tags"},
        ),
    ],
)
def test_what_is_lost_is_told_with_a_reason(target: Target, lost: set[str]) -> None:
    found = lost_by(target, COLUMNS)
    assert set(found) == lost
    assert all(found.values())


def test_a_payload_rounds_doubles() -> None:
    schema = pa.schema({"a": pa.int64(), "mass": pa.float64(), "text": pa.string()})
    target = CollectionTarget("in", "c", ("a",), "merge", embed=Embedding("text", "m"), payload=("mass", "text"))
    assert lost_by(target, schema) == {"mass": "a payload keeps 15 digits of a double"}
    assert lost_by(NodeTarget("in", "L", ("a",), "merge"), schema) == {}
