"""What a target needs to stand in the database before its first row: planned, told, carried out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.connectors.base import Change
from data_workbench.connectors.sql.catalogue import find_table, get_table
from data_workbench.connectors.sql.dialect import Session, Table
from data_workbench.connectors.sql.state import created_columns, exists, note_created
from data_workbench.errors import SchemaConflict

if TYPE_CHECKING:
    from data_workbench.mapping.targets import TableTarget


@dataclass
class TablePlan:
    """Changes, and the statements that make them."""

    name: str
    changes: list[Change] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    types: dict[str, str] | None = None
    """Types of a table that is, or will be, ours."""
    columns: tuple[str, ...] = ()
    """Input columns that are written."""

    def refuse(self, reason: str) -> None:
        """Say why the target cannot be loaded."""
        self.changes.append(Change("refuse", self.name, reason))


def plan_table(session: Session, target: TableTarget, schema: pa.Schema) -> TablePlan:
    """What is missing for this target; changes nothing."""
    table = find_table(session, target.table)
    plan = TablePlan(target.table, columns=tuple(schema.names))
    for name in (target.table, *schema.names):
        longest = session.dialect.longest_name
        if "\0" in name or not name or (longest is not None and len(name) > longest):
            plan.refuse(f"{name!r} is not a name {session.dialect.title} can hold (at most {longest} characters)")
    if table is None:
        _create(session, target, schema, plan)
    else:
        _adapt(session, table, target, schema, plan)
    return plan


def carry_out(session: Session, plan: TablePlan, pipeline: str) -> Table:
    """Make the changes; the table as it is then.

    Raises:
        SchemaConflict: the plan refuses the target.
    """
    refused = [change for change in plan.changes if change.action == "refuse"]
    if refused:
        raise SchemaConflict(f"table {plan.name}: {refused[0].detail}", hint="`workbench plan` tells before a run")
    if plan.statements:
        note_created(session, plan.name, pipeline, plan.types or {})
        for statement in plan.statements:
            session.execute(statement)
    return get_table(session, plan.name)


def _create(session: Session, target: TableTarget, schema: pa.Schema, plan: TablePlan) -> None:
    dialect = session.dialect
    place, name = dialect.places(target.table)[-1]
    key = target.key if target.write == "merge" else ()
    plan.types = {item.name: dialect.created(item, is_key=item.name in key) for item in schema}
    made = [
        f"{dialect.quote(column)} {kind}{' NOT NULL' if column in key else ''}" for column, kind in plan.types.items()
    ]
    if key:
        made.append(f"PRIMARY KEY ({dialect.listing(key)})")
    if place != dialect.schema and dialect.makes_schemas:
        plan.statements.append(f"CREATE SCHEMA IF NOT EXISTS {dialect.placed(place)}")
    plan.statements.append(f"CREATE TABLE {dialect.qualified(place, name)} ({', '.join(made)})")
    plan.changes.append(Change("create", target.table, f"{len(schema)} columns"))


def _adapt(session: Session, table: Table, target: TableTarget, schema: pa.Schema, plan: TablePlan) -> None:
    if table.kind == "view":
        plan.refuse("it is a view")
        return
    reason = session.dialect.refusal(session, table)
    if reason:
        plan.refuse(reason)
    plan.types = created_columns(session, target.table) if exists(session) else None
    plan.columns = tuple(name for name in schema.names if not ((column := table.column(name)) and column.generated))
    for item in schema:
        column = table.column(item.name)
        if column is None:
            _add(session, table, item, plan)
        elif plan.types is not None:
            _widen(session, table, item, column.field, plan)
    if target.write == "replace":
        plan.changes.append(Change("replace", target.table, "replaces all rows of the table", "replace"))
    if not plan.changes:
        plan.changes.append(Change("none", target.table, target.write))


def _add(session: Session, table: Table, item: pa.Field, plan: TablePlan) -> None:
    if plan.types is None:
        plan.refuse(
            f"it has no column {item.name!r}, and the workbench did not make it: add the column, or select others"
        )
        return
    kind = session.dialect.created(item, is_key=False)
    plan.types[item.name] = kind
    plan.statements.append(f"ALTER TABLE {table.sql} ADD COLUMN {session.dialect.quote(item.name)} {kind}")
    plan.changes.append(Change("add_column", table.stream, f"{item.name} {kind}"))


def _widen(session: Session, table: Table, item: pa.Field, stands: pa.Field, plan: TablePlan) -> None:
    """A column of ours takes a wider type; any other change is refused."""
    assert plan.types is not None
    dialect = session.dialect
    is_key = item.name in table.key
    before, kind = plan.types.get(item.name), dialect.created(item, is_key=is_key)
    if before is None or before == kind or is_key or not _is_other(stands.type, item.type):
        return
    if dialect.changes_types is None or not _is_wider(item.type, stands.type):
        plan.refuse(f"column {item.name!r} is {before}, {kind} comes: cast it in a step, or rename it")
        return
    plan.types[item.name] = kind
    clause = dialect.changes_types.format(column=dialect.quote(item.name), type=kind)
    plan.statements.append(f"ALTER TABLE {table.sql} {clause}")
    plan.changes.append(Change("alter_column", table.stream, f"{item.name} {before} -> {kind}"))


def _is_other(stands: pa.DataType, comes: pa.DataType) -> bool:
    """Whether values that come may not fit a column that stands."""
    return not (comes.equals(stands) or _is_wider(stands, comes))


def _is_wider(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether a column of type `one` holds every value of type `other`."""
    if pa.types.is_decimal(one) and pa.types.is_decimal(other):
        return bool(one.scale >= other.scale and one.precision - one.scale >= other.precision - other.scale)
    if pa.types.is_integer(one) and pa.types.is_integer(other):
        signs = pa.types.is_signed_integer(one), pa.types.is_signed_integer(other)
        return (
            one.bit_width >= other.bit_width if signs[0] == signs[1] else signs[0] and one.bit_width > other.bit_width
        )
    return bool(pa.types.is_floating(one) and pa.types.is_floating(other) and one.bit_width >= other.bit_width)
