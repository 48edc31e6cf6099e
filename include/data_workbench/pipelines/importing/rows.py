"""ODRAS's mappings as they stand in its tables, of whatever version: a column that is not there is not known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.base import ReadRequest
from data_workbench.errors import StreamUnknown, UsageError

if TYPE_CHECKING:
    from data_workbench.connectors.base import Source

CONFIGS, TABLES, CHANGES = "data_mapping_configs", "individual_tables_config", "property_mappings"


@dataclass(frozen=True)
class Config:
    """A row of `data_mapping_configs` with the row of `individual_tables_config` it belongs to.

    Args:
        fields, rules: `field_mappings` and `transformation_rules`, as JSON.
        ontology: `ontology_structure`, as JSON.
    """

    id: str
    name: str
    source_format: str
    target_class: str
    fields: Any
    rules: Any
    is_active: bool
    project: str
    graph: str
    ontology: Any


@dataclass(frozen=True)
class Change:
    """A row of `property_mappings`: what became of a property."""

    project: str
    graph: str
    class_name: str
    old: str
    new: str
    kind: str
    status: str

    @property
    def is_rename(self) -> bool:
        """Whether the property is the same under another name; other changes are of its type or domain."""
        return self.kind.lower().startswith("rename")

    @property
    def holds(self) -> bool:
        """Whether the ontology has the new name: ODRAS notes what was skipped or failed, too."""
        return self.status in ("pending", "applied")


@dataclass(frozen=True)
class Kept:
    """What the tables hold."""

    configs: tuple[Config, ...]
    changes: tuple[Change, ...]

    def config(self, asked: str) -> Config:
        """A mapping by its name or id.

        Raises:
            UsageError: there is none, or there are several of the name.
        """
        found = [one for one in self.configs if asked in (one.id, one.name)]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(one.id for one in found)
            raise UsageError(f"{len(found)} mappings are named {asked!r}", hint=f"give the id of one: {ids}")
        named = ", ".join(repr(one.name) for one in self.configs) or "none"
        raise UsageError(f"there is no mapping {asked!r}", hint=f"those there: {named}")


def read_kept(source: Source, schema: str) -> Kept:
    """Read the mappings of a store of ODRAS.

    Raises:
        StreamUnknown: it has no table of mappings.
    """
    tables = {str(row["table_id"]): row for row in _rows(source, f"{schema}.{TABLES}", optional=True)}
    configs = [_config(row, tables.get(str(row.get("table_id")), {})) for row in _rows(source, f"{schema}.{CONFIGS}")]
    changes = [_change(row) for row in _rows(source, f"{schema}.{CHANGES}", optional=True)]
    return Kept(tuple(sorted(configs, key=lambda one: (one.name, one.id))), tuple(changes))


def _rows(source: Source, stream: str, *, optional: bool = False) -> Iterator[dict[str, Any]]:
    try:
        with closing(source.read(ReadRequest(stream=stream))) as reading:
            for batch in reading:
                yield from batch.to_pylist()
    except StreamUnknown:
        if not optional:
            raise


def _config(row: dict[str, Any], table: dict[str, Any]) -> Config:
    return Config(
        id=_text(row, "mapping_id"),
        name=_text(row, "mapping_name"),
        source_format=_text(row, "source_format"),
        target_class=_text(row, "target_class"),
        fields=_document(row.get("field_mappings")),
        rules=_document(row.get("transformation_rules")),
        is_active=row.get("is_active") is not False,
        project=_text(table, "project_id"),
        graph=_text(table, "graph_iri"),
        ontology=_document(table.get("ontology_structure")),
    )


def _change(row: dict[str, Any]) -> Change:
    names: Sequence[str] = (
        "project_id",
        "graph_iri",
        "class_name",
        "old_property_name",
        "new_property_name",
        "change_type",
        "migration_status",
    )
    return Change(*(_text(row, name) for name in names))


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value)


def _document(value: Any) -> Any:
    """JSON, which comes as text from a typed column; a text that is none is itself."""
    if isinstance(value, str):
        with suppress(ValueError):
            return json.loads(value)
    return value
