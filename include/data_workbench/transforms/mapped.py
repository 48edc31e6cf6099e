"""The step that is a table: for each column of the output, where it comes from.

What no line names is left behind. A key whose columns are all copied stays the key, under its new names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_workbench.errors import TransformError
from data_workbench.records.names import literal, quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.records.types import with_native
from data_workbench.transforms.computing import Made, cannot_be, make_columns, with_values
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape, shown
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_values import Mapped, policy
from data_workbench.transforms.text import select
from data_workbench.transforms.verbs import distinct_names, known

if TYPE_CHECKING:
    import pyarrow as pa

_NATIVE = {"UUID": "uuid", "JSON": "json"}


def map_columns(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    lines = step.map or []
    known(step.name, [line.from_ for line in lines if line.from_ is not None], shape, "map")
    distinct_names(step.name, [line.target for line in lines])
    made = [_made(build, step.name, shape, source, line) for line in lines]
    draft = make_columns(build, step.name, shape, source, made)
    copies = {line.from_: line.target for line in reversed(lines) if line.is_copy}
    has_key = bool(shape.key) and set(shape.key) <= set(copies)
    draft.shape = Shape(
        columns={one.name: one.column for one in made},
        key=tuple(copies[name] for name in shape.key) if has_key else (),
        key_is_unique=shape.key_is_unique and has_key,
        conditions=draft.shape.conditions,
        marks=draft.shape.marks,
    )
    draft.sql = select([quoted(line.target) for line in lines], f"({draft.sql})")
    return draft


def _made(build: Compilation, step: str, shape: Shape, source: str, line: Mapped) -> Made:
    if line.is_copy:
        assert line.from_ is not None
        return Made(line.target, quoted(line.from_), shape.columns[line.from_], is_one_to_one=True)
    what = f"map {line.target}"
    if line.from_ is not None:
        sql, kind, used, text = quoted(line.from_), shape.columns[line.from_].type, [line.from_], line.from_
    else:
        text = line.expression or "NULL"
        checked, sql, kind = build.expression(text, shape=shape, source=source, step=step, what=what)
        used = sorted(checked.columns)
    wanted = _wanted(step, line, kind)
    if wanted != kind:
        build.types_of(f"SELECT CAST({sql} AS {wanted}) AS v FROM {source}", step=step, what=what)
    value = f"TRY_CAST({sql} AS {wanted})" if wanted != kind else sql
    whole = value
    if line.default is not None:
        given = default_sql(line, wanted)
        build.types_of(f"SELECT {given} AS v", step=step, what=f"{what}: default")
        whole = f"coalesce({value}, {given})"
    fits = f"TRY(({value}) IS NOT NULL OR ({sql}) IS NULL)" if wanted != kind else "TRUE"
    origins = shape.origins_of(used, "TRANSFORMATION", _told(line, text))
    return Made(
        name=line.target,
        sql=whole,
        column=Column(wanted, _landed(line.target, wanted), origins),
        rule=what,
        failed=lambda found: f"NOT coalesce({fits}, FALSE) OR {cannot_be(found, whole)}",
        reason=_reason(line, text, wanted, kind, used),
        on_failure=policy(line.on_failure),
    )


def _wanted(step: str, line: Mapped, kind: str) -> str:
    if line.type is None:
        is_constant = line.from_ is None and line.expression is None
        return kind_of_default(line.default) if is_constant else kind
    try:
        return canonical_type(line.type)
    except ValueError as error:
        raise TransformError(f"{step}: map {line.target}: {error}") from error


def kind_of_default(value: object) -> str:
    """The type of a column that is a default alone."""
    return {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE"}.get(type(value), "VARCHAR")


def default_sql(line: Mapped, kind: str) -> str:
    """The default as a value of a type."""
    return f"CAST({literal(_text(line.default))} AS {kind})"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _landed(name: str, kind: str) -> pa.Field | None:
    import pyarrow as pa

    native = _NATIVE.get(kind)
    return with_native(pa.field(name, pa.string()), native) if native else None


def _told(line: Mapped, text: str) -> str:
    as_type = f" as {line.type}" if line.type else ""
    return f"{text}{as_type}" + (f", else {_text(line.default)}" if line.default is not None else "")


def _reason(line: Mapped, text: str, wanted: str, kind: str, used: list[str]) -> str:
    if line.from_ is not None:
        return f"{literal(f'{line.from_}: ')} || {shown(quoted(line.from_))} || {literal(f' is no {line.type}')}"
    no_value = f"{text} cannot be computed" if wanted == kind else f"{text} is no {line.type}, or cannot be computed"
    return literal(no_value) + with_values(used)
