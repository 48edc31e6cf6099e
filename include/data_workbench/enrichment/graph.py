"""Asking the graph about rows: a Cypher query, run for each of a list of them in one request; it only reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.neo4j.client import Client
from data_workbench.enrichment.answers import Found
from data_workbench.mapping.graph_types import as_text
from data_workbench.mapping.graph_values import rows_of

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.connectors.connections import Connection
    from data_workbench.enrichment.patience import Patience
    from data_workbench.enrichment.spec import Graph

_PLACE = "_wb_place"
_ROWS = "_wb_rows"


class GraphAsker:
    """Asks one graph for one step."""

    def __init__(self, connection: Connection, graph: Graph, params: Mapping[str, Any], patience: Patience) -> None:
        self._client = Client(connection)
        self._graph, self._patience = graph, patience
        self._params = {name: params.get(name) for name in graph.params}
        inner = f"CALL {{ WITH row {graph.query}\n}}"
        self._statement = f"UNWIND ${_ROWS} AS row {inner} RETURN *, row.{_PLACE} AS {_PLACE}"

    def ask(self, questions: pa.RecordBatch) -> list[Found]:
        """The answer to each question, in their order."""
        import pyarrow as pa

        table, size = pa.Table.from_batches([questions]), self._graph.size
        found: list[Found] = []
        for start in range(0, table.num_rows, size):
            part = table.slice(start, size)
            found += self._patience.asked(lambda part=part: self._part(part), part.num_rows)  # type: ignore[misc]
        return found

    def close(self) -> None:
        """Give the driver back."""
        self._client.close()

    def _part(self, part: pa.Table) -> list[Found]:
        rows = [{**row, _PLACE: place} for place, row in enumerate(rows_of(part))]
        with self._client.session() as session:
            # In a transaction that reads the server refuses to write, whatever the query says.
            answers = session.execute_read(
                lambda work: [dict(one) for one in work.run(self._statement, {**self._params, _ROWS: rows})]
            )
        records: list[list[Any]] = [[] for _ in rows]
        for answer in answers:
            place = answer.pop(_PLACE)
            answer.pop("row")
            records[place].append({name: _plain(value) for name, value in answer.items()})
        return [Found.of(one) for one in records]


def _plain(value: Any) -> Any:
    """A value as JSON would hold it: nodes and relationships by their properties, moments as text."""
    from neo4j.graph import Entity, Path

    if isinstance(value, Entity):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Path):
        return [_plain(one) for one in value.nodes]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else as_text(value)
