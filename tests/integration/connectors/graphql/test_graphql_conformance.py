"""The conformance suite on queries: written by introspection, given with nodes, given with edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from conformance.rows import make_rows
from conformance.source import SourceConformance
from data_workbench.connectors.base import Source

TYPES = {"amount": "decimal(12,2)", "name": "text", "ratio": "double"}
FIELDS = "id name amount ratio active born updated_at tags"


class GraphqlConformance(SourceConformance):
    name = "items"
    says: Mapping[str, Any] = {}

    @pytest.fixture
    def source(self, open_source: Any) -> Source:
        return open_source()  # type: ignore[no-any-return]

    @pytest.fixture
    def stream(self) -> str:
        return self.name

    @pytest.fixture
    def rows(self) -> pa.Table:
        return make_rows(range(1, 21))

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        return {"graphql": {"types": TYPES, **self.says}}


class TestWrittenByIntrospection(GraphqlConformance):
    pass


class TestPlainList(GraphqlConformance):
    name = "loose"


class OwnQuery(GraphqlConformance):
    @pytest.mark.skip(reason="a stream with a query of its own has any name")
    def test_an_unknown_stream_is_named(self, source, stream, options) -> None: ...


class TestNodes(OwnQuery):
    says = {
        "query": f"query($after: String) {{ items(after: $after) {{ nodes {{ {FIELDS} }}"
        " pageInfo { hasNextPage endCursor } } }",
    }


class TestEdges(OwnQuery):
    says = {
        "query": f"query($after: String, $since: String) {{ items(after: $after, since: $since)"
        f" {{ edges {{ node {{ {FIELDS} }} }} pageInfo {{ hasNextPage endCursor }} }} }}",
        "nodes": "items.edges[*].node",
        "incremental": {"start_param": "since"},
    }
