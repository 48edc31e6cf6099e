"""Pieces of Cypher that nodes and relationships share."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as kinds

from data_workbench.connectors.neo4j.names import quoted
from data_workbench.mapping.arrow_forms import is_list, plain_type


def when(condition: str, action: str) -> str:
    """Do something for the rows a condition holds for."""
    return f"FOREACH (_ IN CASE WHEN {condition} THEN [1] ELSE [] END | {action})"


def same_values(entity: str, row: str, fields: Sequence[pa.Field]) -> str:
    """A condition: the entity's properties equal the row's, null equal to null and NaN to NaN."""
    return " AND ".join(_same(entity, row, item) for item in fields) or "true"


def _same(entity: str, row: str, item: pa.Field) -> str:
    left, right = f"{entity}.{quoted(item.name)}", f"{row}.{quoted(item.name)}"
    nulls = f"({left} IS NULL AND {right} IS NULL)"
    kind = plain_type(item.type)
    if kinds.is_floating(kind):
        # NaN is the only value that differs from itself.
        return f"(coalesce({left} = {right}, {nulls}) OR coalesce({left} <> {left} AND {right} <> {right}, false))"
    if is_list(kind) and kinds.is_floating(plain_type(kind.value_type)):
        return f"(coalesce({left} = {right}, {nulls}) OR {_same_floats(left, right)})"
    return f"coalesce({left} = {right}, {nulls})"


def _same_floats(left: str, right: str) -> str:
    """Lists that hold NaN differ from themselves too; compare item by item where both are lists of floats."""
    floats = "IS :: LIST<FLOAT NOT NULL> NOT NULL"
    item = f"{left}[i] = {right}[i] OR ({left}[i] <> {left}[i] AND {right}[i] <> {right}[i])"
    return (
        f"CASE WHEN {left} {floats} AND {right} {floats} AND size({left}) = size({right}) "
        f"THEN all(i IN range(0, size({left}) - 1) WHERE {item}) ELSE false END"
    )
