"""What a load needs of its table: create it, evolve it (only if the workbench made it), or say why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
import pyarrow as pa

from data_workbench.connectors.base import Change
from data_workbench.connectors.postgres import checkpoints
from data_workbench.connectors.postgres.catalogue import Table, find_table
from data_workbench.connectors.postgres.names import Relation, check_length, parse_relation, quoted
from data_workbench.connectors.postgres.types import base_type, column_type
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.targets import TableTarget

# What a column may become without losing a value.
_WIDER: Mapping[str, tuple[str, ...]] = {
    "int2": ("int4", "int8", "numeric", "float8", "text"),
    "int4": ("int8", "numeric", "float8", "text"),
    "int8": ("numeric", "text"),
    "float4": ("float8",),
    "varchar": ("varchar", "text"),
    "char": ("varchar", "text"),
    "numeric": ("numeric",),
    "uuid": ("text",),
    "date": ("timestamp",),
}
_FAMILIES = (
    {"int2", "int4", "int8", "oid", "numeric", "float4", "float8"},
    {"date", "timestamp", "timestamptz"},
    {"time", "timetz"},
    {"bool"},
    {"bytea"},
)


@dataclass
class TablePlan:
    """What stands, what is missing, and what makes it right."""

    relation: Relation
    found: Table | None
    is_ours: bool
    columns: tuple[str, ...]
    """Input columns that are written; those the table computes are not among them."""
    changes: list[Change] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)

    def refusal(self) -> Change | None:
        """Why the load cannot be."""
        return next((change for change in self.changes if change.action == "refuse"), None)


def plan_table(connection: psycopg.Connection, target: TableTarget, schema: pa.Schema) -> TablePlan:
    """Compare the target with what stands."""
    relation = parse_relation(target.table)
    found = find_table(connection, relation)
    types = _server_types(connection, schema)
    missing = [name for name in target.key if name not in schema.names]
    if missing:
        raise SchemaConflict(
            f"table {relation.stream}: key column {', '.join(missing)} is not in the input",
            hint=f"the input has {', '.join(schema.names)}",
        )
    if found is None:
        return _creation(connection, relation, target, schema, types)
    computed = {column.name for column in found.columns if column.generated}
    plan = TablePlan(
        relation=relation,
        found=found,
        is_ours=_is_ours(connection, relation),
        columns=tuple(name for name in schema.names if name not in computed),
        types=types,
    )
    _check_kind(plan, target)
    for item in schema:
        _fit_column(plan, item)
    if target.write == "replace":
        _check_replace(connection, plan)
    return plan


def _is_ours(connection: psycopg.Connection, relation: Relation) -> bool:
    if not checkpoints.exists(connection):
        return False
    query = "SELECT FROM _workbench.tables WHERE table_name = %s"
    return connection.execute(query, (relation.sql,)).fetchone() is not None


def _server_types(connection: psycopg.Connection, schema: pa.Schema) -> dict[str, str]:
    """The type of each column: native where this server has it."""
    wanted = {item.name: column_type(item) for item in schema}
    rows = connection.execute(
        "SELECT t FROM unnest(%s::text[]) t WHERE pg_catalog.to_regtype(t) IS NOT NULL", (sorted(set(wanted.values())),)
    )
    known = {row[0] for row in rows}
    return {item.name: wanted[item.name] if wanted[item.name] in known else base_type(item.type) for item in schema}


def _creation(
    connection: psycopg.Connection, relation: Relation, target: TableTarget, schema: pa.Schema, types: dict[str, str]
) -> TablePlan:
    for name in (relation.schema, relation.name, *schema.names):
        check_length(name)
    plan = TablePlan(relation=relation, found=None, is_ours=True, columns=tuple(schema.names), types=types)
    row = connection.execute("SELECT pg_catalog.to_regnamespace(%s)", (quoted(relation.schema),)).fetchone()
    if row is None or row[0] is None:
        plan.statements.append(f"CREATE SCHEMA IF NOT EXISTS {quoted(relation.schema)}")
        plan.changes.append(Change("create", relation.schema, "schema"))
    lines = [f"{quoted(name)} {types[name]}" for name in schema.names]
    if target.key:
        lines.append(f"PRIMARY KEY ({', '.join(quoted(name) for name in target.key)})")
    plan.statements.append(f"CREATE TABLE {relation.sql} ({', '.join(lines)})")
    shown = ", ".join(f"{name} {types[name]}" for name in schema.names)
    key = f"; key {', '.join(target.key)}" if target.key else ""
    plan.changes.append(Change("create", relation.stream, f"{shown}{key}"))
    return plan


def _check_kind(plan: TablePlan, target: TableTarget) -> None:
    assert plan.found is not None
    if plan.found.kind not in ("table", "partitioned_table"):
        plan.changes.append(
            Change("refuse", plan.relation.stream, f"it is a {plan.found.kind.replace('_', ' ')}; name a table")
        )
    for name in target.key:
        if plan.found.column(name) is not None and name not in plan.columns:
            plan.changes.append(
                Change(
                    "refuse", f"{plan.relation.stream}.{name}", "a key the table computes itself cannot be merged on"
                )
            )


def _fit_column(plan: TablePlan, item: pa.Field) -> None:
    assert plan.found is not None
    there = plan.found.column(item.name)
    wanted, name = plan.types[item.name], f"{plan.relation.stream}.{item.name}"
    if there is None:
        if not plan.is_ours:
            detail = f"the table has no such column; add it ({wanted}), or leave it out with a select step"
            plan.changes.append(Change("refuse", name, detail))
            return
        check_length(item.name)
        plan.statements.append(f"ALTER TABLE {plan.relation.sql} ADD COLUMN {quoted(item.name)} {wanted}")
        plan.changes.append(Change("add_column", name, wanted))
        return
    if not plan.is_ours or there.native == wanted or _holds(there.native, wanted):
        return
    if _is_wider(there.native, wanted):
        plan.statements.append(f"ALTER TABLE {plan.relation.sql} ALTER COLUMN {quoted(item.name)} TYPE {wanted}")
        plan.changes.append(Change("alter_column", name, f"{there.native} to {wanted}"))
    elif not _same_family(there.native, wanted):
        detail = f"the table has {there.native}, the input {wanted}: cast it in a step, or load into another table"
        plan.changes.append(Change("refuse", name, detail))


def _base(native: str) -> str:
    return native.split("(")[0].removesuffix("[]")


def _size(native: str) -> tuple[int, ...]:
    return tuple(int(one) for one in native.partition("(")[2].rstrip(")[]").split(",") if one.lstrip("-").isdigit())


def _holds(there: str, wanted: str) -> bool:
    """Whether a column as it is takes every value of the wanted type."""
    if wanted == "bytea" or wanted.endswith("[]"):
        return False
    if there in ("text", "numeric") or there.startswith(("public.", '"')):
        return there != "numeric" or _base(wanted) in ("int2", "int4", "int8", "numeric")
    return _base(there) != _base(wanted) and _is_wider(wanted, there)


def _is_wider(there: str, wanted: str) -> bool:
    if wanted.endswith("[]") != there.endswith("[]"):
        return False
    if _base(wanted) not in _WIDER.get(_base(there), ()):
        return False
    if _base(there) != _base(wanted):
        return True
    old, new = _size(there), _size(wanted)
    if not new or not old:
        return not new and bool(old)
    if len(old) == 2 and len(new) == 2:
        return new[1] >= old[1] and new[0] - new[1] >= old[0] - old[1]
    return new >= old


def _same_family(there: str, wanted: str) -> bool:
    if there.endswith("[]") != wanted.endswith("[]"):
        return False
    for family in _FAMILIES:
        if _base(there) in family or _base(wanted) in family:
            return _base(there) in family and _base(wanted) in family
    return True


def _check_replace(connection: psycopg.Connection, plan: TablePlan) -> None:
    assert plan.found is not None
    if connection.execute(f"SELECT FROM {plan.relation.sql} LIMIT 1".encode()).fetchone() is not None:
        whose = "" if plan.is_ours else " that the workbench did not create"
        plan.changes.append(Change("replace", plan.relation.stream, f"replaces all rows of a table{whose}", "replace"))
    cascades = connection.execute(
        """SELECT conrelid::regclass::text, conname FROM pg_catalog.pg_constraint
           WHERE confrelid = %s AND conrelid <> confrelid AND contype = 'f' AND confdeltype IN ('c', 'n', 'd')""",
        (plan.found.oid,),
    ).fetchall()
    for table, constraint in cascades:
        detail = f"a replace would change rows of {table} through {constraint}; use write: merge"
        plan.changes.append(Change("refuse", plan.relation.stream, detail))


def carry_out(connection: psycopg.Connection, plan: TablePlan, pipeline: str) -> Table:
    """Make the table what the plan says, and note it if the workbench made it.

    Raises:
        SchemaConflict: the plan refuses.
    """
    refusal = plan.refusal()
    if refusal is not None:
        raise SchemaConflict(f"{refusal.object}: {refusal.detail}", hint="`workbench plan` shows all of it")
    if plan.statements:
        with connection.transaction():
            checkpoints.one_at_a_time(connection)
            for statement in plan.statements:
                connection.execute(statement.encode())
            connection.execute(
                """INSERT INTO _workbench.tables AS t (table_name, pipeline, columns) VALUES (%s, %s, %s::jsonb)
                   ON CONFLICT (table_name) DO UPDATE SET columns = t.columns || excluded.columns""",
                (plan.relation.sql, pipeline, json.dumps(plan.types)),
            )
    table = find_table(connection, plan.relation)
    assert table is not None
    return table
