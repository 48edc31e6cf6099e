"""What is told of a row's counterparts in other stores."""

from __future__ import annotations

import duckdb

from data_workbench.quality.standalone.entities import Counterparts
from data_workbench.quality.standalone.kinds import Other
from data_workbench.quality.standalone.mixed import STORED
from data_workbench.quality.standalone.rows import Side


def test_a_classified_value_of_a_mixed_column_is_not_told_as_it_is_stored_either() -> None:
    kinds = {"id": "BIGINT", "ssn": "MIXED"}
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE given AS SELECT 1::BIGINT AS id, '5' AS ssn")
        connection.execute(
            f"""CREATE TABLE side AS SELECT 1::BIGINT AS id, '078-05-1120' AS ssn, '"078-05-1120"' AS "{STORED}ssn" """
        )
        side = Side("side", "graph", "B", ("id", "ssn"), kinds=kinds, here=kinds)
        other = Other(connection="graph", stream="B", on={"id": "id"})
        told = Counterparts(connection, ("id",), [(other, side)], lambda _: {"ssn"}, ()).of({"id": 1})
    assert [one["row"] for one in told] == [{"id": 1, "ssn": "•••"}]
