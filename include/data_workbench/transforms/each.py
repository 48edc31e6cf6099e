"""Python functions that answer for each row they are given: a row for which one raises is set aside, the others go on.

The function is called with a batch; only when that fails, with halves of it, until the rows are found that it cannot
answer for. Its answers stand in a table that the frame is joined with by the rows' places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.errors import TransformError
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.arrow import without_extensions
from data_workbench.transforms.calling import Misfit, as_declared, declared_kinds, find_function, given_by, raised
from data_workbench.transforms.drafts import Case, Column, Compilation, Draft, Shape, failure, json_object, verdict
from data_workbench.transforms.plan import ALIVE, STATUS, Action
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_values import policy
from data_workbench.transforms.text import HIDDEN, listing, select
from data_workbench.transforms.verbs import distinct_names

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_MOST_FAILED = 10_000
"""A function that cannot answer for more rows is wrong itself."""
_FAILED = "_wb_failed"


def call_for_each(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """The rows with the columns that a function makes of each. It is not imported before the run."""
    rule = step.python
    assert rule is not None
    kinds = declared_kinds(step.name, rule)
    distinct_names(step.name, dict.fromkeys([*shape.columns, *kinds]))
    table, on_failure = quoted(f"made_{step.name}"), policy(rule.on_failure)
    made = {ORDINAL: "BIGINT", _FAILED: "VARCHAR", **kinds}
    typed = ", ".join(f"{quoted(name)} {kind}" for name, kind in made.items())
    arguments = {
        "function": rule.function,
        "options": rule.options,
        "table": table,
        "fails": on_failure == "fail",
        "key": list(shape.key),
    }
    asked = f"SELECT {listing(shape.columns)}, {ORDINAL} FROM {source} WHERE {STATUS} = {ALIVE}"
    prepare = [
        Action("sql", f"CREATE OR REPLACE TEMP TABLE {table} ({typed})"),
        Action("python_each", asked, arguments),
    ]
    origins = shape.origins_of(shape.columns, "TRANSFORMATION", rule.function)
    columns = {**shape.columns, **{name: Column(kind, None, origins) for name, kind in kinds.items()}}
    names = [f"t.{quoted(name)}" if name in kinds else f"f.{quoted(name)}" for name in columns]
    hidden = [*(f"f.{name}" for name in HIDDEN), f"t.{_FAILED}"]
    frame = f"(SELECT {', '.join([*names, *hidden])} FROM {source} f LEFT JOIN {table} t ON f.{ORDINAL} = t.{ORDINAL})"
    loses_key = bool(set(shape.key) & set(kinds))
    key = () if loses_key else shape.key
    unique = shape.key_is_unique and not loses_key
    if on_failure != "quarantine":
        if on_failure == "null":
            prepare.append(_warning(step.name, shape, source, table))
        out = Shape(columns, key, unique, shape.conditions, shape.marks)
        return Draft(step.name, out, select(map(quoted, columns), frame), prepare=prepare)
    decided = (*shape.conditions, *shape.origins_of(shape.columns, "CONDITIONAL", rule.function))
    out = Shape(columns, key, unique, decided, shape.marks or build.holds)
    reason = f"{literal(f'{rule.function} ')} || {_FAILED}"
    code = build.drop(step.name, "quarantined", "python")
    cases: list[Case] = [(f"{_FAILED} IS NOT NULL", code, f"[{failure('python', reason)}]")]
    return Draft(step.name, out, verdict(out, frame, cases, hold=build.holds, told=shape), prepare=prepare)


def _warning(step: str, shape: Shape, source: str, table: str) -> Action:
    """How many rows go on without an answer, with an example."""
    example = json_object(shape.columns, shape.key or list(shape.columns)[:3])
    failed = f"FILTER (WHERE t.{_FAILED} IS NOT NULL)"
    columns = ", ".join([*(f"f.{quoted(name)}" for name in shape.columns), f"f.{ORDINAL}", f"t.{_FAILED}"])
    rows = f"(SELECT {columns} FROM {source} f JOIN {table} t ON f.{ORDINAL} = t.{ORDINAL}) t"
    arguments = {"node": step, "rules": ["python"], "on_invalid": "warn", "is_step": True}
    sql = f"SELECT count(*) {failed}, arg_min({example}, {ORDINAL}) {failed} FROM {rows}"
    return Action("count_rules", sql, arguments)


def call_each(
    engine: duckdb.DuckDBPyConnection, action: Action, *, step: str, allowed: str, batch_rows: int, folder: Path
) -> None:
    """Put what the function makes of each of the step's rows into its table.

    Raises:
        TransformError: it gives other columns or another number of rows, or raises where that ends the run.
    """
    import pyarrow.parquet as pq

    name, table = action.arguments["function"], action.arguments["table"]
    function = find_function(name, allowed, step=step)
    schema = without_extensions(engine.sql(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema)
    caller = _Caller(function, action, schema, step)
    path = folder / f"python-{step}.parquet"
    reader = engine.sql(action.sql).to_arrow_reader(batch_rows)
    try:
        with pq.ParquetWriter(path, schema) as writer:
            for batch in reader:
                for part in caller.answers(batch):
                    writer.write_batch(part)
    finally:
        reader.close()
    engine.execute(f"INSERT INTO {table} SELECT * FROM read_parquet({literal(str(path.resolve()))})")
    path.unlink()


class _Caller:
    """Calls one function, with less and less where it fails."""

    def __init__(self, function: Callable[..., Any], action: Action, schema: pa.Schema, step: str) -> None:
        import pyarrow as pa

        self._function, self._arguments, self._schema = function, action.arguments, schema
        self._place = f"step {step!r}: {action.arguments['function']}"
        self._wanted = pa.schema([item for item in schema if item.name not in (ORDINAL, _FAILED)])
        self._failed = 0

    def answers(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The table's rows of a batch: made, or with the reason why not."""
        if not batch.num_rows:
            return
        try:
            yield self._answer(batch)
        except _Failed as failed:
            if batch.num_rows > 1:
                half = batch.num_rows // 2
                yield from self.answers(batch.slice(0, half))
                yield from self.answers(batch.slice(half))
            else:
                yield self._set_aside(batch, failed)

    def _answer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        given = batch.drop_columns([ORDINAL])
        try:
            parts = list(given_by(self._function(iter([given]), **self._arguments["options"]), self._place))
        except TransformError:
            raise
        except (Exception, SystemExit) as error:  # it is somebody's code: whatever it raises belongs to a row of these
            raise _Failed(f"raised {raised(error)}") from error
        try:
            made = [as_declared(part, self._wanted, self._place) for part in parts]
        except Misfit as misfit:
            raise _Failed(misfit.said) from misfit
        whole = pa.Table.from_batches(made, self._wanted).combine_chunks()
        if whole.num_rows != batch.num_rows:
            raise TransformError(
                f"{self._place} gave {whole.num_rows} rows for {batch.num_rows}",
                hint="with each: true it gives one row for each, in their order; leave each out if rows are made anew",
            )
        columns = [batch.column(ORDINAL), pa.nulls(batch.num_rows, pa.string())]
        columns += [one.combine_chunks() if one.num_chunks != 1 else one.chunk(0) for one in whole.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _set_aside(self, batch: pa.RecordBatch, failed: _Failed) -> pa.RecordBatch:
        import pyarrow as pa

        self._failed += 1
        row = batch.drop_columns([ORDINAL]).to_pylist()[0]
        shown = ", ".join(f"{name} = {row[name]!r}" for name in (self._arguments["key"] or list(row)[:3]))
        if self._arguments["fails"] or self._failed > _MOST_FAILED:
            hint = "write on_failure: quarantine, and its row is set aside"
            if not self._arguments["fails"]:
                hint = f"it cannot answer for more than {_MOST_FAILED} rows: correct the function"
            raise TransformError(f"{self._place} {failed} for {shown[:300]}", hint=hint) from failed
        nulls = [pa.nulls(1, item.type) for item in self._wanted]
        columns = [batch.column(ORDINAL), pa.array([str(failed)], pa.string()), *nulls]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


class _Failed(Exception):
    """The function cannot answer for one of these rows."""
