"""A graph is written and removed in parts that a server's memory takes."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from data_workbench.backup.content import Reader
from data_workbench.backup.graph_piece import shares
from data_workbench.backup.graph_restore import GraphRestore, batches
from data_workbench.backup.manifest import StoredStore
from data_workbench.connectors.connections import Connection
from data_workbench.errors import ResourceExhausted


def test_a_part_ends_with_so_many_records_or_so_many_bytes() -> None:
    small = [({"id": n}, 50) for n in range(12_000)]
    assert [len(part) for part in batches(small)] == [5_000, 5_000, 2_000]
    large = [({"id": n}, 3 * 1024**2) for n in range(7)]
    assert [len(part) for part in batches(large)] == [3, 3, 1]
    assert [record["id"] for part in batches(large) for record in part] == list(range(7))
    assert list(batches([])) == []


def test_pieces_come_back_in_such_parts_too() -> None:
    texts = [{"id": n, "labels": ["Doc"], "properties": {"text": "x" * 3 * 1024**2}} for n in range(7)]
    assert [len(part) for part in shares(texts)] == [3, 3, 1]
    assert [len(part) for part in shares([{"id": n} for n in range(4_100)])] == [2_000, 2_000, 100]


class Crowded:
    """A server whose memory takes so many rows in one transaction."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.removed: list[str] = []

    def run(self, query: str, _: object = None) -> list[dict[str, Any]]:
        asked = re.search(r"OF (\d+) ROWS", query)
        if asked is None:
            return []
        if int(asked[1]) > self.most:
            raise ResourceExhausted("the memory pool limit was exceeded")
        self.removed.append(query)
        return []


@pytest.mark.parametrize(("most", "rows"), [(20_000, 10_000), (5_000, 1_000), (150, 100), (1, 1)])
def test_a_graph_is_removed_in_parts_that_fit(most: int, rows: int) -> None:
    server, restore = Crowded(most), restoring()
    restore._client = cast(Any, server)
    restore._empty()
    is_crowded = rows < 10_000
    assert ["]->()" in one for one in server.removed] == ([True, False] if is_crowded else [False])
    assert all(f"OF {rows} ROWS" in one for one in server.removed)


def test_a_server_that_takes_not_even_one_is_told() -> None:
    restore = restoring()
    restore._client = cast(Any, Crowded(0))
    with pytest.raises(ResourceExhausted):
        restore._empty()


def restoring() -> GraphRestore:
    stored = StoredStore(kind="neo4j", connection="g", version="5.26.0", streams={}, files=())
    return GraphRestore(Connection(id="g", kind="neo4j", host="h"), stored, cast(Reader, None))
