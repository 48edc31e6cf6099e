"""Keys as people give them, read as the values of archived rows are: by PostgreSQL, where the column is still there."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.archive.source import Dataset, copied, table_as_dataset
from data_workbench.connectors.postgres.names import quoted
from data_workbench.connectors.postgres.types import arrow_type
from data_workbench.errors import SchemaConflict, UsageError
from data_workbench.mapping.text_values import from_text
from data_workbench.records.types import native_type, with_native

if TYPE_CHECKING:
    from data_workbench.archive.manifest import Manifest
    from data_workbench.connectors.postgres.catalogue import Table
    from data_workbench.connectors.postgres.client import PatientConnection
    from data_workbench.settings import Settings


def split_key(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """A key's values, with commas between; one with a comma in it stands in double quotes. A key of one value is it."""
    return (text,) if len(names) == 1 else tuple(next(csv.reader([text]), ()))


def plain_schema(manifest: Manifest) -> pa.Schema:
    """Of the key's columns: their types as Arrow has them, and PostgreSQL's names of them."""
    return pa.schema([archived_field(manifest, name) for name in manifest.origin.key])


def archived_field(manifest: Manifest, name: str) -> pa.Field:
    """A column as it was archived."""
    found = next(one for one in manifest.columns if one.name == name)
    kind = arrow_type(found.native)
    return with_native(pa.field(name, kind if str(kind) == found.arrow else pa.string()), found.native)


def read_keys(
    session: PatientConnection,
    keys: Sequence[Sequence[str]],
    manifest: Manifest,
    table: Table | None,
    settings: Settings,
) -> pa.Table:
    """Keys as archived rows have them: a padded `char`, an address with its mask, a time in UTC.

    Args:
        table: as it is now; without it, or where it lacks a column of the key, texts are taken as they are.

    Raises:
        UsageError: a key has another number of values, or one is no value of its column.
    """
    names, schema = manifest.origin.key, plain_schema(manifest)
    for key in keys:
        require_values(key, names)
    if table is None or any(table.column(name) is None for name in names):
        return _by_text(keys, schema)
    dataset = replace(table_as_dataset(session, table, ()), schema=schema)
    try:
        with session.transaction():
            batches = list(copied(session, _query(dataset, keys), schema, dataset.asked(), "keys", settings))
    except psycopg.DataError:
        raise _no_value(keys, dataset) from None
    except SchemaConflict:
        return _by_text(keys, schema)
    return pa.Table.from_batches(batches, schema=schema)


def require_values(key: Sequence[str], names: Sequence[str]) -> None:
    """Raise UsageError for a key of another number of values."""
    if len(key) != len(names):
        raise UsageError(
            f"a key has {len(names)} value{'' if len(names) == 1 else 's'}: {', '.join(names)}",
            hint="give them in this order; with commas between, one with a comma in it in double quotes",
        )


def _query(dataset: Dataset, keys: Sequence[Sequence[str]]) -> sql.Composed:
    rows = sql.SQL(", ").join(
        sql.SQL("({})").format(
            sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(column.native))
                for value, column in zip(key, dataset.columns, strict=True)
            )
        )
        for key in keys
    )
    return sql.SQL("SELECT {} FROM (VALUES {}) AS t ({})").format(
        sql.SQL(", ".join(one.expression for one in dataset.asked())),
        rows,
        sql.SQL(", ".join(quoted(name) for name in dataset.schema.names)),
    )


def _no_value(keys: Sequence[Sequence[str]], dataset: Dataset) -> UsageError:
    natives = ", ".join(f"{column.name} {column.native}" for column in dataset.columns)
    shown = ", ".join(repr(value) for value in keys[0]) if len(keys) == 1 else "one of the keys"
    return UsageError(f"{shown} is no value of {natives}", hint="write the key's values as PostgreSQL reads them")


def _by_text(keys: Sequence[Sequence[str]], schema: pa.Schema) -> pa.Table:
    columns = {}
    for place, item in enumerate(schema):
        texts = [_canonical(key[place], native_type(item)) for key in keys]
        try:
            columns[item.name] = from_text(pa.array(texts), item.type)
        except (ValueError, pa.ArrowException, SchemaConflict):
            raise UsageError(
                f"{texts[0]!r} is no value of {item.name}, which is {item.type}", hint="give the key's values as text"
            ) from None
    return pa.table(columns)


def _canonical(text: str, native: str | None) -> str:
    if native != "uuid":
        return text
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise UsageError(f"{text!r} is no UUID", hint="write it as 01234567-89ab-cdef-0123-456789abcdef") from None
