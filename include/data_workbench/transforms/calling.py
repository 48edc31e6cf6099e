"""Calls the function of a `python` step: batches in, batches out, nothing else of the engine.

What the function gives is written to a file first: it may look at all of its input before it gives the first batch, and
the engine's memory is bounded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.errors import AccessDenied, TransformError, WorkbenchError
from data_workbench.records.names import literal
from data_workbench.records.type_names import canonical_type
from data_workbench.settings import is_listed
from data_workbench.transforms.arrow import without_extensions
from data_workbench.transforms.plan import Action

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from data_workbench.transforms.spec_tables import Python


def find_function(name: str, allowed: str, *, step: str) -> Callable[..., Any]:
    """The function of `package.module:function`.

    Args:
        allowed: `settings.python_modules`: colon-separated modules, each with what is below it.

    Raises:
        AccessDenied: its module is not allowed.
        TransformError: it cannot be imported, or is no function.
    """
    require_allowed(name, allowed, step=step)
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # a module's import runs its code, which may raise anything
        raise TransformError(f"step {step!r}: {name!r} cannot be imported: {raised(error)}") from error
    if not callable(found):
        raise TransformError(f"step {step!r}: {name!r} is no function")
    return found


def declared_kinds(step: str, rule: Python) -> dict[str, str]:
    """DuckDB's type of each column that a function gives. Raises TransformError."""
    kinds = {}
    for name, text in rule.columns.items():
        try:
            kinds[name] = canonical_type(text)
        except ValueError as error:
            raise TransformError(f"{step}: python: column {name}: {error}") from error
    return kinds


def require_allowed(name: str, allowed: str, *, step: str) -> None:
    """Refuse a function whose module the site does not list. Raises AccessDenied."""
    module = name.partition(":")[0]
    if not is_listed(module, allowed):
        raise AccessDenied(
            f"step {step!r}: module {module!r} may not be used by python steps",
            hint="whoever runs the site adds it to WORKBENCH_PYTHON_MODULES",
        )


def call(
    engine: duckdb.DuckDBPyConnection,
    action: Action,
    *,
    step: str,
    allowed: str,
    batch_rows: int,
    folder: Path,
) -> None:
    """Put what the function makes of the step's rows into its table."""
    import pyarrow.parquet as pq

    name, table = action.arguments["function"], action.arguments["table"]
    function = find_function(name, allowed, step=step)
    schema = without_extensions(engine.sql(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema)
    path = folder / f"python-{step}.parquet"
    reader = engine.sql(action.sql).to_arrow_reader(batch_rows)
    try:
        with pq.ParquetWriter(path, schema) as writer:
            for batch in _given(function, reader, action.arguments["options"], schema, name=name, step=step):
                writer.write_batch(batch)
    finally:
        reader.close()
    engine.execute(f"INSERT INTO {table} SELECT * FROM read_parquet({literal(str(path.resolve()))})")
    path.unlink()


def _given(
    function: Callable[..., Any],
    reader: pa.RecordBatchReader,
    options: dict[str, Any],
    schema: pa.Schema,
    *,
    name: str,
    step: str,
) -> Iterator[pa.RecordBatch]:
    """The function's batches with the columns declared."""
    place = f"step {step!r}: {name}"
    try:
        made = function(iter(reader), **options)
        for given in given_by(made, place):
            yield as_declared(given, schema, place)
    except WorkbenchError:
        raise
    except (Exception, SystemExit) as error:  # it is somebody's code: whatever it raises is told with the step
        raise TransformError(
            f"{place} raised {raised(error)}", hint="the function has to answer for each row"
        ) from error


def given_by(made: object, place: str) -> Iterator[pa.RecordBatch]:
    """What a function gave as record batches. Raises TransformError if it is something else."""
    import pyarrow as pa

    parts: Iterable[object] = [made] if isinstance(made, pa.RecordBatch | pa.Table) else made  # type: ignore[assignment]
    if not isinstance(parts, Iterable):
        raise TransformError(f"{place} gave {type(made).__name__}, not record batches", hint="yield record batches")
    for part in parts:
        if isinstance(part, pa.Table):
            yield from part.to_batches()
        elif isinstance(part, pa.RecordBatch):
            yield part
        else:
            raise TransformError(f"{place} gave {type(part).__name__}, not a record batch", hint="yield record batches")


class Misfit(TransformError):
    """A value that a function gave is not of its column's type; `said` without the place."""

    def __init__(self, place: str, said: str) -> None:
        super().__init__(f"{place} {said}")
        self.said = said


def as_declared(batch: pa.RecordBatch, schema: pa.Schema, place: str) -> pa.RecordBatch:
    """The batch with the columns declared. Raises TransformError; Misfit for values of another type."""
    import pyarrow as pa

    lacking = [one for one in schema.names if one not in batch.schema.names]
    surplus = [one for one in batch.schema.names if one not in schema.names]
    if lacking or surplus:
        told = f"lacks {', '.join(lacking)}" if lacking else f"has {', '.join(surplus)}, which is not declared"
        raise TransformError(f"{place} gave a batch that {told}", hint="give the columns the step declares")
    arrays = []
    for item in schema:
        values = batch.column(batch.schema.get_field_index(item.name))
        try:
            arrays.append(values.cast(item.type))
        except pa.ArrowException as error:
            said = f"gave {item.name} as {values.type}, which does not fit {item.type}: {raised(error)}"
            raise Misfit(place, said) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def raised(error: BaseException) -> str:
    """An error's kind and its first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
