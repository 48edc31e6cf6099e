"""Finders that name rows by their keys find these rows in the console of their store."""

from __future__ import annotations

import duckdb
import pytest

from data_workbench.quality.standalone.mixed import plainly
from data_workbench.quality.standalone.pasting import Place, by_keys

FINDER = "SELECT g.* FROM given g WHERE TRUE"


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (["5", '"x"'], 'MATCH (n:`A`) WHERE n.`id` IN ["x", 5] RETURN n'),
        (["5.5", '"x"'], None),
        (["true", '"x"'], None),
    ],
)
def test_a_key_of_several_types_is_told_as_the_store_holds_it(stored: list[str], told: str | None) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE read AS SELECT unnest(?) AS id", [stored])
        connection.execute(f"CREATE VIEW given AS SELECT *{plainly(['id'])} FROM read")
        found = by_keys(Place("neo4j", "A", ("id",)), connection, FINDER, ())
    assert found == told
