"""Contracts: the nodes and columns they name, and whether their rules can hold at all."""

from __future__ import annotations

from collections.abc import Mapping

from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.connections import check_connection
from data_workbench.pipelines.checks.promises import mistakes
from data_workbench.pipelines.checks.report import Known, Report
from data_workbench.quality.contract import ColumnContract
from data_workbench.records.names import near_names


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
    for place, message, hint in mistakes(promise):
        report.say((*path, *place), message, hint=hint)
    if promise.references is not None:
        check_connection(report, (*path, "references", "connection"), promise.references.connection)
