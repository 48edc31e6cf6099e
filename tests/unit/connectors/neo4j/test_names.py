"""Names cross into Cypher unharmed, and connections become addresses."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.connectors.connections import Connection
from data_workbench.connectors.neo4j.chunks import TRANSACTION_BYTES, cut, ordered
from data_workbench.connectors.neo4j.config import Neo4jConfig
from data_workbench.connectors.neo4j.keys import LONGEST_KEY, split_keys
from data_workbench.connectors.neo4j.names import StreamName, quoted
from data_workbench.errors import UsageError


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.booleans())
def test_a_stream_name_is_read_as_it_was_told(name: str, is_relationship: bool) -> None:
    told = StreamName(name, is_relationship)
    assert StreamName.parse(str(told)) == told


def test_plain_and_quoted_stream_names_mean_the_same() -> None:
    assert StreamName.parse("My Label") == StreamName.parse("`My Label`") == StreamName("My Label", False)
    assert StreamName.parse("[:DERIVES_FROM]") == StreamName("DERIVES_FROM", True)
    assert StreamName.parse("[:`A``B`]") == StreamName("A`B", True)


def test_a_backtick_cannot_end_a_quoted_name() -> None:
    assert quoted("a`b") == "`a``b`"
    assert quoted("a\\u0060b") == "`a\\u005Cu0060b`"


@pytest.mark.parametrize(
    ("extra", "uri"),
    [
        ({}, "bolt://graph:7687"),
        ({"neo4j_scheme": True}, "neo4j://graph:7687"),
        ({"encrypted": "true"}, "bolt+s://graph:7687"),
        ({"encrypted": True, "certs_self_signed": True}, "bolt+ssc://graph:7687"),
        ({"scheme": "neo4j+s"}, "neo4j+s://graph:7687"),
    ],
)
def test_a_connection_becomes_an_address(extra: dict[str, object], uri: str) -> None:
    config = Neo4jConfig.of(Connection("g", "neo4j", host="graph", extra=extra))
    assert (config.uri, config.database) == (uri, "neo4j")


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(UsageError, match="ftp"):
        Neo4jConfig.of(Connection("g", "neo4j", host="graph", extra={"scheme": "ftp"}))


def test_large_cells_make_small_transactions_and_an_offset_goes_on_where_it_was() -> None:
    rows = pa.table({"t": ["x" * (TRANSACTION_BYTES // 2 + 1)] * 3})
    chunks = list(cut(ordered(rows), 0))
    assert [chunk.end for chunk in chunks] == [1, 2, 3]
    assert [chunk.end for chunk in cut(ordered(rows), 2)] == [3]


def test_keys_that_no_index_can_hold_are_rejected_by_rule() -> None:
    rows = pa.table({"k": ["a", None, "x" * (LONGEST_KEY + 1)]})
    kept, rejections = split_keys(rows, ("k",), "(L)")
    assert kept["k"].to_pylist() == ["a"]
    assert [one.rule for one in rejections] == ["null key", f"key longer than {LONGEST_KEY} bytes"]
