"""What Spark refuses of a pipeline that asks for it, as far as a file shows it.

Steps that are done beside DuckDB only, and types that a step names, are always looked at. Where the file tells every
column, its steps are compiled and rehearsed as `plan` does it, with the types that contracts tell of sources, and text
where none does; if the steps do not fit such columns, nothing is known here, and `plan` tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from data_workbench.errors import TransformError, UsageError, WorkbenchError
from data_workbench.language.resolve import Resolved
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.report import Report
from data_workbench.pipelines.engines import engine_of
from data_workbench.records.type_names import canonical_type

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.language.spec import Pipeline
    from data_workbench.transforms.plan import TransformPlan
    from data_workbench.transforms.spec import Step

_HINT = "cast it, or leave the pipeline on engine: duckdb"


def check_spark(report: Report, resolved: Resolved) -> None:
    """Say what Spark would refuse; nothing about a pipeline with other mistakes, or with another engine."""
    spec = report.definition.spec
    if not engine_of(spec) or not spec.steps or report.findings:
        return
    for position, step in enumerate(spec.steps):
        _beside(report, position, step)
        for place, kind in _named_types(step):
            refused = _refused(kind)
            if refused is not None:
                report.say(("steps", position, *place), refused, hint=_HINT)
    if not report.findings:
        _rehearse(report, resolved)


def _beside(report: Report, position: int, step: Step) -> None:
    """Steps that executors of Spark do not do, whatever the types."""
    from data_workbench.transforms.spark.rehearsal import BESIDE_DUCKDB

    kinds = {
        "enrich": step.enrich is not None,
        "embed": step.embed is not None,
        "closure": step.hierarchy is not None,
        "keep": step.keeps_rows,
        "python_each": step.python is not None and step.python.each,
    }
    for kind, is_it in kinds.items():
        if is_it:
            reason, hint = BESIDE_DUCKDB[kind]
            report.say(("steps", position, step.verb), f"Spark: {step.verb} {reason}", hint=hint)


def _named_types(step: Step) -> Iterator[tuple[Path, str]]:
    for name, rule in step.casts.items():
        yield ("cast", name), rule.to
    for place, line in enumerate(step.map or ()):
        if line.type is not None:
            yield ("map", place, "type"), line.type
    for name, kind in (step.python.columns if step.python else {}).items():
        yield ("python", "columns", name), kind


def _refused(kind: str) -> str | None:
    from data_workbench.transforms.spark.types import NoSparkType, spark_type

    try:
        spark_type(canonical_type(kind))
    except NoSparkType as error:
        return str(error)
    return None


def _rehearse(report: Report, resolved: Resolved) -> None:
    from data_workbench.transforms.spark.rehearsal import rehearse

    plan = _compiled(report.definition.spec, resolved)
    if plan is None:
        return
    try:
        rehearse(plan)
    except TransformError as error:
        step, _, words = error.message.partition(": ")
        positions = {one.name: position for position, one in enumerate(report.definition.spec.steps)}
        place: Path = ("steps", positions[step]) if step in positions else ("sources", step)
        report.say(place, f"Spark: {words}", hint=error.hint)


def _compiled(spec: Pipeline, resolved: Resolved) -> TransformPlan | None:
    """The plan of the steps over columns of the types that are known; None if the file does not tell enough."""
    from data_workbench.transforms.compile import compile_plan
    from data_workbench.transforms.sources import SourceInput

    schemas = {name: _schema(spec, name) for name in spec.sources}
    asks = any(step.verb in ("lookup", "enrich", "embed") for step in spec.steps)  # of stores, which tell the types
    if asks or any(schema is None for schema in schemas.values()):
        return None
    with suppress(WorkbenchError, ValueError):
        return compile_plan(
            sources={
                name: SourceInput(schema, key=tuple(spec.sources[name].key or ()))
                for name, schema in schemas.items()
                if schema is not None
            },
            steps=spec.steps,
            step_inputs=resolved.step_inputs,
            params=spec.param_types,
            needed={node for nodes in resolved.target_inputs.values() for node in nodes},
        )
    return None


def _schema(spec: Pipeline, name: str) -> pa.Schema | None:
    import pyarrow as pa

    from data_workbench.connectors.column_types import field_of

    source = spec.sources[name]
    if source.columns is None:
        return None
    told = spec.contract[name].columns if name in spec.contract else {}
    fields = []
    for column in dict.fromkeys([*source.columns, *(source.key or ())]):
        kind = told[column].type if column in told else None
        field = pa.field(column, pa.string())
        if kind is not None:
            with suppress(UsageError):
                field = field_of(column, kind)
        fields.append(field)
    return pa.schema(fields)
