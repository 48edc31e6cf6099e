"""Given rows as a store that a pipeline reads: typed columns, and no server behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import SecretStr

from data_workbench.connectors.base import (
    Destination,
    Health,
    Reading,
    ReadRequest,
    Rejection,
    Source,
    SourceCapabilities,
    Stream,
)
from data_workbench.connectors.connections import Connection, Connections
from data_workbench.enrichment.kinds import KINDS
from data_workbench.errors import StreamUnknown, Unsupported
from data_workbench.pipelines.stores import Stores
from data_workbench.pipelines.streams import one_stream
from data_workbench.records.type_names import canonical_type
from data_workbench.records.types import native_type, with_native
from data_workbench.records.values import rows_of, table_of

if TYPE_CHECKING:
    from data_workbench.language.spec import Pipeline
    from data_workbench.settings import Settings

GIVEN = "given"
"""The connection that all sources of a pipeline under test have."""
PSEUDONYMS = "not a secret: what pseudonyms of tests are made of"


class Unfit(ValueError):
    """A given value is not of its column's type; `row` and `column` say where."""

    def __init__(self, message: str, row: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.row = row
        self.column = column


@dataclass(frozen=True)
class GivenStream:
    """The rows of one source, and the key its store would have told."""

    table: pa.Table
    key: tuple[str, ...] = ()
    rejections: tuple[Rejection, ...] = ()


# ------------------------------------------------------------------------------------------------------------ types


@lru_cache(maxsize=512)
def _field_type(name: str) -> tuple[pa.DataType, str | None]:
    """Arrow's type of a type name, and the store's own name where a store's column would carry one."""
    canonical = canonical_type(name)
    if canonical in ("UUID", "JSON"):
        return pa.string(), canonical.lower()
    import duckdb

    with closing(duckdb.connect()) as engine:
        engine.execute("SET TimeZone = 'UTC'")
        return engine.sql(f"SELECT CAST(NULL AS {canonical}) AS x").to_arrow_table().schema.field(0).type, None


def field_of(name: str, type_name: str) -> pa.Field:
    """A column of a declared type. Raises ValueError for an unknown type name."""
    kind, native = _field_type(type_name)
    return with_native(pa.field(name, kind), native)


def inferred_type(values: Sequence[Any]) -> str:
    """The type name of values as YAML has them; text where there are none.

    Raises:
        ValueError: they are of several types.
    """
    kinds = {_kind(value) for value in values if value is not None}
    if kinds == {"bigint", "double"}:
        return "double"
    if len(kinds) > 1:
        raise ValueError(f"its values are of several types ({', '.join(sorted(kinds))}): declare it under columns")
    return kinds.pop() if kinds else "text"


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "bigint"
        case float():
            return "double"
        case str():
            return "text"
        case list() if not any(isinstance(one, dict) for one in value):
            return f"{inferred_type(value)}[]"
    return "json"


# ----------------------------------------------------------------------------------------------------------- tables


def typed_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as YAML has them in the types of a schema; a column that a row leaves out is null.

    Raises:
        Unfit: a value does not fit; it says which.
    """
    ready = [{name: _ready(row.get(name), schema.field(name)) for name in schema.names} for row in rows]
    try:
        return table_of(ready, schema)
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        for at, row in enumerate(ready):
            for item in schema:
                try:
                    table_of([row], pa.schema([item]))
                except (ValueError, TypeError, ArithmeticError, AttributeError):
                    wanted = native_type(item) or item.type
                    raise Unfit(_misfit(item.name, row[item.name], wanted), at, item.name) from None
        raise


def _misfit(column: str, value: Any, wanted: object) -> str:
    quote = "; quote it" if str(wanted) == "string" else ""
    return f"{column!r} is {str(value)[:80]!r}, which is no {wanted}{quote}"


def _ready(value: Any, item: pa.Field) -> Any:
    """What `table_of` takes: documents as text, decimals without the digits a float adds, names in lower case."""
    native = native_type(item)
    if native in ("json", "jsonb") and value is not None and not isinstance(value, str):
        return json.dumps(value)
    if native == "uuid" and isinstance(value, str):
        return value.lower()
    if pa.types.is_decimal(item.type) and isinstance(value, float):
        return repr(value)
    return value


def given_table(rows: Sequence[Mapping[str, Any]], declared: Mapping[str, str], known: Sequence[str] = ()) -> pa.Table:
    """Rows in the types declared, or else told by the values.

    Args:
        known: columns that are there even if no row has them.

    Raises:
        Unfit: a type is unknown, or a value does not fit its column.
    """
    names = list(dict.fromkeys([*known, *declared, *(name for row in rows for name in row)]))
    fields = []
    for name in names:
        try:
            fields.append(field_of(name, declared.get(name) or inferred_type([row.get(name) for row in rows])))
        except ValueError as error:
            raise Unfit(f"column {name!r}: {error}", None, name) from None
    return typed_table(rows, pa.schema(fields))


def as_declared(table: pa.Table, declared: Mapping[str, str]) -> pa.Table:
    """Rows of a file with declared types in place of those the file tells.

    Raises:
        Unfit: as `given_table`.
    """
    if not declared:
        return table
    names = list(dict.fromkeys([*table.schema.names, *declared]))
    try:
        fields = [field_of(name, declared[name]) if name in declared else table.schema.field(name) for name in names]
    except ValueError as error:
        raise Unfit(str(error)) from None
    return typed_table(rows_of(table), pa.schema(fields))


# ----------------------------------------------------------------------------------------------------------- stores


def under_test(spec: Pipeline) -> Pipeline:
    """The pipeline with every source, lookup and reference reading given rows, each from a stream of its own.

    A source that stands for many streams is given one, known by the source's name.
    """
    sources = {
        name: source.model_copy(
            update={
                "connection": GIVEN,
                "stream": name,
                "parallel": 1,
                "ranges": 1,
                "options": {},
                "rest": None,
                "graphql": None,
            }
        )
        for name, source in spec.sources.items()
    }
    steps = []
    for step in spec.steps:
        if step.lookup is not None:
            to_given = {"connection": GIVEN, "stream": f"lookup:{step.name}", "options": {}}
            step = step.model_copy(update={"lookup": step.lookup.model_copy(update=to_given)})
        steps.append(step)
    contract = {}
    for node, promises in spec.contract.items():
        columns = {}
        for name, column in promises.columns.items():
            if column.references is not None:
                stream = f"reference:{node}:{name}"
                reference = column.references.model_copy(update={"connection": GIVEN, "stream": stream})
                column = column.model_copy(update={"references": reference})
            columns[name] = column
        contract[node] = promises.model_copy(update={"columns": columns})
    destinations = {name: item.model_copy(update={"hooks": None}) for name, item in one_stream(spec).items()}
    changed = {"sources": sources, "steps": steps, "contract": contract, "destinations": destinations}
    return spec.model_copy(update=changed)


def asked(spec: Pipeline) -> dict[str, str]:
    """The connections that steps would ask, and the type that each is of."""
    rules = [step.enrich for step in spec.steps if step.enrich is not None]
    return {rule.connection: KINDS[rule.kind][0] for rule in rules if rule.kind in KINDS}


class GivenStores(Stores):
    """Stores whose streams are given rows. Nothing can be written, and nobody is asked.

    Args:
        asked: the types of connections that are more than a name.
    """

    def __init__(
        self, streams: Mapping[str, GivenStream], settings: Settings, asked: Mapping[str, str] | None = None
    ) -> None:
        kinds = asked or {}

        def resolved(name: str) -> Connection:
            return Connection(name, kinds.get(name, GIVEN), password=SecretStr(PSEUDONYMS))

        super().__init__(Connections(resolved), settings)
        self.tables = {name: one.table for name, one in streams.items()}
        self._given = GivenRows(self.connection(GIVEN), settings, streams)

    def source(self, connection_id: str) -> Source:  # noqa: ARG002  # all are one
        """The given rows."""
        return self._given

    def destination(self, connection_id: str) -> Destination:
        """Raises Unsupported: a test writes nothing."""
        raise Unsupported(f"{connection_id!r} is not opened in a test", hint="run the pipeline to load its rows")


class GivenRows(Source):
    """Given rows as a store. `where` is evaluated by the engine."""

    capabilities = SourceCapabilities(cursor=True, snapshot=True)

    def __init__(self, connection: Connection, settings: Settings, streams: Mapping[str, GivenStream]) -> None:
        super().__init__(connection, settings)
        self._streams = streams

    def check(self) -> Health:
        """Always there."""
        return Health(True, "given rows")

    def discover(self, pattern: str | None = None) -> list[Stream]:  # noqa: ARG002  # a pipeline names its streams
        """All streams."""
        return [self.describe(name) for name in self._streams]

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:  # noqa: ARG002
        """A stream as its rows show it."""
        found = self._streams.get(stream)
        if found is None or not found.table.schema.names:
            raise StreamUnknown(
                f"no rows are given for {stream!r}", hint="give rows, or declare its columns under columns"
            )
        return Stream(stream, found.table.schema, key=found.key)

    def read(self, request: ReadRequest) -> Reading:
        """All rows, whatever the position."""
        found = self._streams[request.stream]
        table = found.table
        if request.columns is not None:
            table = table.select(list(request.columns))
        return _GivenReading(table, found.rejections)


class _GivenReading(Reading):
    def __init__(self, table: pa.Table, rejections: Sequence[Rejection]) -> None:
        self._table = table
        self.schema = table.schema
        self.rejections = rejections

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield from self._table.to_batches()
