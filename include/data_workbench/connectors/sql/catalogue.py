"""Tables by the names streams have."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.sql.dialect import Column, Named, Session, Table
from data_workbench.errors import AccessDenied, SchemaConflict, StreamUnknown, UsageError
from data_workbench.records.names import near_names

OURS = "_workbench_"
"""The workbench's own tables begin so; no stream shows them."""


class SqlOptions(BaseModel):
    """A source's `options`."""

    model_config = ConfigDict(extra="forbid")

    types: dict[str, str] = Field(default_factory=dict, description="column: type, instead of the one that was found")


def find_table(session: Session, stream: str) -> Table | None:
    """The table of a stream's name, if there is one."""
    for place in session.dialect.places(stream):
        for named in session.dialect.listed(session, place):
            return _described(session, named)
    return None


def get_table(session: Session, stream: str, options: dict[str, Any] | None = None) -> Table:
    """The table of a stream's name, its columns typed as the options say.

    Raises:
        StreamUnknown: there is none; says which names are near.
        UsageError: an option is wrong.
    """
    found = find_table(session, stream)
    if found is None:
        known = [_stream(session, named) for named in _shown(session)]
        where = session.dialect.config.address
        raise StreamUnknown(f"no table {stream!r} in {session.dialect.title} {where}", hint=near_names(stream, known))
    return _typed(session, found, options or {})


def all_tables(session: Session, pattern: str | None) -> list[Table]:
    """Every table and view whose stream's name fits the pattern."""
    shown = [named for named in _shown(session) if pattern is None or fnmatchcase(_stream(session, named), pattern)]
    tables = []
    for named in shown:
        try:
            tables.append(_described(session, named))
        except (AccessDenied, StreamUnknown, SchemaConflict):
            continue  # a view over what is gone hides no other stream; reading it by name says what is wrong
    return tables


def _shown(session: Session) -> list[Named]:
    return [named for named in session.dialect.listed(session) if not named.name.startswith(OURS)]


def _stream(session: Session, named: Named) -> str:
    return named.name if named.schema == session.dialect.schema else f"{named.schema}.{named.name}"


def _described(session: Session, named: Named) -> Table:
    columns, key, unique = session.dialect.described(session, named)
    return Table(
        schema=named.schema,
        name=named.name,
        stream=_stream(session, named),
        sql=session.dialect.qualified(named.schema, named.name),
        kind=named.kind,
        columns=tuple(columns),
        key=key,
        unique=tuple(unique),
        estimated_rows=named.estimated_rows,
        comment=named.comment,
    )


def _typed(session: Session, table: Table, options: dict[str, Any]) -> Table:
    try:
        types = SqlOptions.model_validate(options).types
    except ValidationError as error:
        place = ".".join(str(step) for step in error.errors()[0]["loc"])
        raise UsageError(f"option {place} means nothing to {session.dialect.title}", hint="known: types") from None
    unknown = [name for name in types if table.column(name) is None]
    if unknown:
        names = [one.name for one in table.columns]
        raise StreamUnknown(f"types: {table.stream} has no column {unknown[0]!r}", hint=near_names(unknown[0], names))
    return replace(table, columns=tuple(_as(session, one, types.get(one.name)) for one in table.columns))


def _as(session: Session, column: Column, wanted: str | None) -> Column:
    if wanted is None:
        return column
    field = field_of(column.name, wanted)
    quoted = session.dialect.quote(column.name)
    expression = session.dialect.text_cast.format(quoted) if field.type == pa.string() else quoted
    return replace(column, field=field, expression=expression)
