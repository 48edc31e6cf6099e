"""Contracts of ours from a contract of Soda 4: its checks stay in Soda's own words, as the block `soda`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from data_workbench.errors import SchemaConflict
from data_workbench.quality.exchange.taken import Block, Imported, as_name, checked

_TAKEN: Final = frozenset({"dataset", "description", "filter", "columns", "checks"})
_TYPES: Final = (
    "data_type",
    "character_maximum_length",
    "numeric_precision",
    "numeric_scale",
    "datetime_precision",
)
_ELSEWHERE: Final = ("valid_reference_data",)
_SETTINGS: Final = ("column_expression", "missing_", "valid_", "invalid_")
"""What a column may say for all of its checks: words, or how these begin."""


def is_sodas(document: Any) -> bool:
    """Whether a document is a contract in Soda's language: it says which dataset, and no version of the standard."""
    return isinstance(document, Mapping) and isinstance(document.get("dataset"), str) and "apiVersion" not in document


def imported(document: Mapping[str, Any], *, connection: str | None = None) -> Imported:
    """A contract from one of Soda's; a check that needs Soda's cloud, variables or another dataset is left out.

    Args:
        connection: of the dataset; the data source that the document names if left out.

    Raises:
        SchemaConflict: the dataset's name has no data source, or what was taken is no contract.
    """
    source, *path = str(document["dataset"]).split("/")
    if not path:
        raise SchemaConflict(
            f"dataset {document['dataset']!r} names no data source", hint="write DATA_SOURCE/…/SCHEMA/TABLE"
        )
    found = Imported(left_out=[f"{name}: there is no such thing here" for name in document if name not in _TAKEN])
    block = Block()
    has_schema = any("schema" in check for check in document.get("checks") or [])
    for column in document.get("columns") or []:
        name = str(column["name"])
        settings = {key: value for key, value in column.items() if key.startswith(_SETTINGS)}
        for key in [key for key, value in settings.items() if key in _ELSEWHERE or "${" in str(value)]:
            found.left_out.append(f"{name}: {key}: it needs another dataset or a variable")
            del settings[key]
        if has_schema or settings:
            optional = {"optional": column["optional"]} if has_schema and "optional" in column else {}
            block.column(name, **optional, **settings)
        found.left_out += [f"{name}: {key}: types differ from store to store" for key in _TYPES if key in column]
        _add(block, column.get("checks") or [], name, found.left_out)
    _add(block, document.get("checks") or [], None, found.left_out)
    contract: dict[str, Any] = {
        "version": 1,
        "contract": as_name(path[-1]),
        "connection": connection or source,
        "stream": ".".join(path[-2:]),
    }
    if document.get("description"):
        contract["description"] = document["description"]
    given = {"filter": document["filter"]} if document.get("filter") else {}
    if taken := block.document():
        contract["soda"] = given | taken
    found.contracts.append(checked(contract))
    return found


def _add(block: Block, checks: list[Mapping[str, Any]], column: str | None, left_out: list[str]) -> None:
    for check in checks:
        kind = next(iter(check))
        if reason := block.add({name: value or {} for name, value in check.items()}, column):
            left_out.append(f"{column or 'the dataset'}: {kind}: {reason}")
