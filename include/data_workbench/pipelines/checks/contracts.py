"""Contracts: the nodes and columns they name, and whether their rules can hold at all."""

from __future__ import annotations

from collections.abc import Mapping

from data_workbench.pipelines.checks.connections import check_connection
from data_workbench.pipelines.checks.report import Known, Report
from data_workbench.pipelines.yaml_tree import Path
from data_workbench.quality.contract import ColumnContract, Scalar
from data_workbench.records.names import near_names
from data_workbench.records.type_names import canonical_type

_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL")


def check_contracts(report: Report, flow: Mapping[str, Known]) -> None:
    """Check every contract of the file."""
    for node, contract in report.definition.spec.contract.items():
        path: Path = ("contract", node)
        if node not in flow:
            message = f"no source or step is named {node!r}"
            report.say(path, message, hint=near_names(node, flow), key=True)
        known = flow.get(node)
        for column, promise in contract.columns.items():
            place = (*path, "columns", column)
            report.column(place, column, known, owner=repr(node), key=True)
            _check_column(report, place, promise)
        for position, columns in enumerate(contract.unique):
            report.columns(report.item((*path, "unique"), position), columns, known, owner=repr(node))


def _check_column(report: Report, path: Path, promise: ColumnContract) -> None:
    if promise.type is not None:
        report.type_name((*path, "type"), promise.type)
    if promise.pattern is not None:
        report.pattern((*path, "pattern"), promise.pattern)
    _check_range(report, path, promise)
    shortest, longest = promise.min_length, promise.max_length
    if shortest is not None and longest is not None and shortest > longest:
        report.say((*path, "min_length"), f"min_length {shortest} is more than max_length {longest}")
    _check_kinds(report, path, promise)
    if promise.references is not None:
        check_connection(report, (*path, "references", "connection"), promise.references.connection)


def _check_range(report: Report, path: Path, promise: ColumnContract) -> None:
    least, most = promise.min, promise.max
    if least is None or most is None:
        return
    if _kind(least) != _kind(most):
        report.say((*path, "max"), f"min is a {_kind(least)}, max is a {_kind(most)}", hint="quote both, or none")
    elif least > most:  # type: ignore[operator]  # of one kind, as checked above
        report.say((*path, "min"), f"min {least!r} is more than max {most!r}")


def _check_kinds(report: Report, path: Path, promise: ColumnContract) -> None:
    """Values, min and max must be of the kind the type has."""
    given: list[tuple[Path, Scalar]] = [((*path, "values", at), one) for at, one in enumerate(promise.values or [])]
    given += [((*path, name), one) for name in ("min", "max") if (one := getattr(promise, name)) is not None]
    wanted = _kind_of_type(promise.type)
    for place, value in given:
        if wanted is not None and _kind(value) != wanted:
            message = f"{value!r} is a {_kind(value)}, but the column's type is {promise.type}"
            report.say(place, message, hint="quote it" if wanted == "text" else f"write a {wanted}")
    if wanted is None and len({_kind(one) for one in promise.values or []}) > 1:
        report.say((*path, "values"), "values mix texts, numbers and true/false", hint="write all in one way")


def _kind(value: Scalar) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _kind_of_type(name: str | None) -> str | None:
    """The kind of scalar a YAML file writes for values of a type; None if more than one would do."""
    try:
        kind = canonical_type(name) if name is not None else ""
    except ValueError:
        return None
    if kind in ("VARCHAR", "UUID", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ"):
        return "text"
    if kind == "BOOLEAN":
        return "boolean"
    return "number" if kind and not kind.endswith("]") and any(one in kind for one in _NUMBERS[:3]) else None
