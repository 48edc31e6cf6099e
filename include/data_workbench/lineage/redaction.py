"""Columns that lineage does not even name: the secrets of ODRAS's users."""

from __future__ import annotations

from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.connectors.postgres.redaction import is_redacted
from data_workbench.errors import StreamUnknown
from data_workbench.lineage.naming import DatasetName


def is_hidden(dataset: DatasetName, column: str) -> bool:
    """Whether the column is one of them."""
    if not dataset.namespace.startswith("postgres://"):
        return False
    try:
        table = parse_relation(dataset.name.partition(".")[2]).name
    except StreamUnknown:
        return True
    return is_redacted(table, column)
