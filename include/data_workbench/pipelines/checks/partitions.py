"""Partitions: their params are there, of the right type, narrow a source, and what is loaded can stand side by side."""

from __future__ import annotations

from data_workbench.connectors.http.bindings import references
from data_workbench.errors import UsageError
from data_workbench.language.params import read_params
from data_workbench.language.partitions import RangePartitions, TimePartitions, ValuePartitions, check_start
from data_workbench.language.spec_source import Source
from data_workbench.pipelines.checks.report import Report

_TAKEN = {"from", "to", "only", "parallel", "retry_failed"}


def check_partitions(report: Report) -> None:
    """Check what a backfill goes over."""
    spec = report.definition.spec
    given = spec.partitions
    if given is None:
        return
    keys = {"from": given.from_, "to": given.to} if not isinstance(given, ValuePartitions) else {"param": given.param}
    for name in sorted(_TAKEN & set(spec.params) - set(given.params)):
        report.say(("params", name), f"param {name!r} is the name of an option of a backfill", hint="give another name")
    declared = [_is_right(report, key, name) for key, name in keys.items() if name is not None]
    if not all(declared):
        return
    if isinstance(given, ValuePartitions):
        _check_values(report, given)
    if isinstance(given, TimePartitions):
        try:
            check_start(given)
        except UsageError as error:
            report.say(("partitions", "start"), error.message, hint=error.hint)
    if not any(set(given.params) <= _used(report, source) for source in spec.sources.values()):
        names = " and ".join(f"${name}" for name in given.params)
        hint = "filter a source by them, for example where: "
        hint += f'"id >= ${given.params[0]} and id < ${given.params[-1]}"' if len(given.params) > 1 else f'"… {names}"'
        report.say(("partitions",), f"no source's `where` uses {names}: every partition would read all", hint=hint)
    for name, destination in spec.destinations.items():
        if destination.write == "replace":
            report.say(
                ("destinations", name),
                f"{name} is replaced by every run: of all partitions the last one would be left",
                hint="write: merge with a key, or write: append",
                key=True,
            )


def _is_right(report: Report, key: str, name: str) -> bool:
    """Whether a param is there and can take what a partition gives."""
    given, param = report.definition.spec.partitions, report.definition.spec.params.get(name)
    if param is None:
        report.say(("partitions", key), f"no param {name!r} is declared", hint=f"add it to params: {name}: {{type: …}}")
        return False
    wanted: tuple[str, ...] = ()
    if isinstance(given, TimePartitions):
        wanted = ("timestamp",) if given.grain == "hour" else ("timestamp", "date")
    elif isinstance(given, RangePartitions):
        wanted = ("integer",)
    if wanted and param.type not in wanted:
        report.say(
            ("partitions", key), f"param {name!r} is of type {param.type}", hint=f"declare it {' or '.join(wanted)}"
        )
        return False
    return True


def _check_values(report: Report, given: ValuePartitions) -> None:
    param = report.definition.spec.params[given.param]
    for position, value in enumerate(given.values):
        try:
            read_params({given.param: param}, {given.param: value})
        except UsageError as error:
            report.say(("partitions", "values", position), error.message, hint=error.hint)


def _used(report: Report, source: Source) -> set[str]:
    """The params that narrow a source; one whose `where` is wrong is told by the check of expressions."""
    from data_workbench.transforms.expressions import ExpressionError, check_expression

    found = {param for _, param in references(source.connector_options)}
    if source.where is not None:
        try:
            found |= set(check_expression(source.where, columns=None, params=report.params, what="where").params)
        except ExpressionError:
            return {*found, *report.definition.spec.params}
    return found
