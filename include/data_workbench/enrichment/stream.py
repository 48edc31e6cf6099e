"""Asking a stream about rows: those of a table, a label, a collection or a file whose columns have the rows' values.

A lookup lands a whole stream once; this asks for some keys of a large one, and may go on without an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from data_workbench.connectors import registry
from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.http.bindings import as_text
from data_workbench.enrichment.answers import Found
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.payload_values import to_payload
from data_workbench.records.names import near_names

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.connectors.connections import Connection
    from data_workbench.enrichment.patience import Patience
    from data_workbench.enrichment.spec import Records
    from data_workbench.settings import Settings


class StreamAsker:
    """Asks one stream for one step.

    Args:
        columns: those of the stream that are taken.
    """

    def __init__(
        self,
        connection: Connection,
        records: Records,
        columns: tuple[str, ...],
        params: Mapping[str, Any],
        patience: Patience,
        settings: Settings,
    ) -> None:
        self._source = registry.open_source(connection, settings)
        self._records, self._params, self._patience = records, params, patience
        self._columns = tuple(dict.fromkeys([*records.on.values(), *columns]))

    def ask(self, questions: pa.RecordBatch) -> list[Found]:
        """The answer to each question, in their order."""
        found: list[Found] = []
        for start in range(0, questions.num_rows, self._records.size):
            part = questions.slice(start, self._records.size)
            found += self._patience.asked(lambda one=part: self._part(one), part.num_rows)  # type: ignore[misc]
        return found

    def close(self) -> None:
        """Give connections back."""
        self._source.close()

    def _part(self, part: pa.RecordBatch) -> list[Found]:
        import pyarrow as pa

        keys = self._keys(part)
        request = ReadRequest(
            self._records.stream,
            self._columns,
            where=self._records.where,
            params=dict(self._params),
            keys=keys,
            options=self._records.options,
        )
        reading = self._source.read(request)
        try:
            table = pa.Table.from_batches(list(reading), reading.schema)
        finally:
            reading.close()
        values = {name: to_payload(table.column(name)) for name in self._columns}
        records = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        there = list(self._records.on.values())
        by_key: dict[tuple[str, ...], list[Any]] = {}
        for record in records:
            by_key.setdefault(tuple(as_text(record[name]) for name in there), []).append(record)
        asked = zip(*(to_payload(keys.column(name)) for name in there), strict=True)
        return [Found.of(by_key.get(tuple(map(as_text, one)), ())) for one in asked]

    @cached_property
    def _schema(self) -> pa.Schema:
        return self._source.describe(self._records.stream, self._records.options).schema

    def _keys(self, part: pa.RecordBatch) -> pa.Table:
        """The questions as the stream's columns have such values."""
        import pyarrow as pa

        schema = self._schema
        absent = [name for name in self._columns if name not in schema.names]
        if absent:
            hint = near_names(absent[0], schema.names)
            raise SchemaConflict(f"{self._records.stream} has no column {absent[0]!r}", hint=hint)
        arrays = []
        for given, there in self._records.on.items():
            try:
                arrays.append(part.column(given).cast(schema.field(there).type))
            except pa.ArrowException as error:
                raise SchemaConflict(
                    f"{given!r} is {part.column(given).type}, column {there!r} of {self._records.stream} is "
                    f"{schema.field(there).type}",
                    hint="cast it in a step before",
                ) from error
        fields = [schema.field(there) for there in self._records.on.values()]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
