"""A source's landed rows as the first frame: what is wanted of them, deletions marked, each key once.

In this order: `where` (a row it does not hold for was not read, but may take back its key; a tombstone always is), rows
already seen in the re-read overlap, NULL keys, and of equal keys all but the latest by cursor, or but the last read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from data_workbench.records.fingerprints import FINGERPRINT, fingerprint_sql
from data_workbench.records.marks import ORDINAL, PREFIX
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.computing import cannot_be
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape, failure, passed, verdict
from data_workbench.transforms.plan import ALIVE, GONE, REJECTED, RETRACTED_ROW, STATUS, TOMBSTONE_ROW, Action, Origin
from data_workbench.transforms.text import REJECTED_TYPE, listing, side_name
from data_workbench.transforms.verbs import distinct_names, known

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class SourceInput:
    """What is known of a source before its rows are there.

    Args:
        schema: the landed columns, hidden ones included, with native types.
        columns: the columns steps and destinations see; () means all.
        key: columns that identify a row.
        key_is_unique: the store guarantees that the key is unique and not null.
        cursor: the column by which the latest of equal keys is found.
        where: a filter the store did not apply itself.
        retracts: rows that `where` leaves out are retractions, since an earlier run may have loaded their keys.
        tombstone_when: rows for which it holds are deletions.
        schema_policy: told by `plan`; what it discards has been left out of the landed rows.
        has_overlap: a side input `overlap:<source>` with fingerprints of rows already seen comes along.
    """

    schema: pa.Schema
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    key_is_unique: bool = False
    cursor: str | None = None
    where: str | None = None
    retracts: bool = False
    tombstone_when: str | None = None
    has_overlap: bool = False
    schema_policy: str = "evolve"

    @property
    def visible(self) -> tuple[str, ...]:
        """The columns steps and destinations see."""
        return self.columns or tuple(name for name in self.schema.names if not name.startswith(PREFIX))


def landed_name(source: str) -> str:
    """The view over a source's landed files."""
    return quoted(f"landed_{source}")


def compile_source(build: Compilation, name: str, source: SourceInput) -> Draft:
    """The source's frame."""
    types = build.types_of(f"SELECT * FROM {landed_name(name)}", step=name)
    all_columns = {
        item.name: Column(types.get(item.name, ""), item, (Origin(name, item.name, "IDENTITY"),))
        for item in source.schema
        if not item.name.startswith(PREFIX)
    }
    hidden = {item.name: Column(types[item.name], item, ()) for item in source.schema if item.name not in all_columns}
    everything = Shape({**all_columns, **hidden})
    known(name, [*source.visible, *source.key, *([source.cursor] if source.cursor else [])], everything, "source")
    has_key = bool(source.key) and set(source.key) <= set(source.visible)
    shape = Shape(
        columns={column: all_columns[column] for column in source.visible},
        key=source.key if has_key else (),
        key_is_unique=has_key,
        marks=source.tombstone_when is not None or bool(source.where and build.holds),
    )
    if _is_untouched(source):
        return Draft(name, shape, _plain(name, shape), passthrough=True)
    distinct_names(name, all_columns)
    needed = dict.fromkeys([*source.visible, *source.key, *([source.cursor] if source.cursor else [])])
    wide = Shape({column: all_columns[column] for column in needed}, source.key, marks=shape.marks)
    draft = Draft(name, shape, _wanted(build, name, source, everything, wide))
    draft.may_pass = _is_untouched(replace(source, key_is_unique=True))
    if source.has_overlap:
        _drop_seen(build, draft, source, wide)
    if source.key and not source.key_is_unique:
        _drop_null_keys(build, draft, source, wide)
        _drop_older(build, draft, source, wide)
    if set(wide.columns) != set(shape.columns):
        draft.sql = f"SELECT {listing(shape.columns)}, {ORDINAL}, {STATUS}, {REJECTED} FROM ({draft.sql})"
    return draft


def _is_untouched(source: SourceInput) -> bool:
    """Whether the landed files are the output as they are."""
    checks = source.where or source.tombstone_when or source.has_overlap or (source.key and not source.key_is_unique)
    return not checks and list(source.visible) == source.schema.names


def _plain(name: str, shape: Shape) -> str:
    return (
        f"SELECT {listing(shape.columns)}, {ORDINAL}, {ALIVE} AS {STATUS}, "
        f"CAST(NULL AS {REJECTED_TYPE}) AS {REJECTED} FROM {landed_name(name)}"
    )


def _wanted(build: Compilation, name: str, source: SourceInput, everything: Shape, wide: Shape) -> str:
    """The rows read, deletions marked."""
    landed = landed_name(name)

    def sql_of(text: str, what: str) -> str:
        _, sql, _ = build.expression(text, shape=everything, source=landed, step=name, what=what)
        return sql

    deleted = f"TRY({sql_of(source.tombstone_when, 'deletes')}) IS TRUE" if source.tombstone_when else "FALSE"
    status = f"CASE WHEN {deleted} THEN {TOMBSTONE_ROW} ELSE {ALIVE} END"
    columns = f"{listing(wide.columns)}, {ORDINAL}"
    empty = f"CAST(NULL AS {REJECTED_TYPE}) AS {REJECTED}"
    if not source.where:
        return f"SELECT {columns}, {status} AS {STATUS}, {empty} FROM {landed}"
    where = sql_of(source.where, "where")
    failed = cannot_be("_wb_v0", where)
    code = build.drop(name, "quarantined", "where")
    reason = failure("where", literal(f"{source.where} cannot be computed"))
    inner = (
        f"SELECT {listing(everything.columns)}, {ORDINAL}, {status} AS {STATUS}, {empty}, TRY({where}) AS _wb_v0 "
        f"FROM {landed}"
    )
    asked = f"SELECT *, {failed} AS _wb_failed FROM ({inner})"
    kept = f"(SELECT * FROM ({asked}) WHERE {STATUS} < 0 OR _wb_v0 OR _wb_failed)"
    if source.retracts and build.holds and source.key:
        left_out = f"{STATUS} = {ALIVE} AND NOT coalesce(_wb_v0, FALSE) AND NOT _wb_failed"
        keyed = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in source.key)
        status = f"CASE WHEN {left_out} THEN {RETRACTED_ROW} ELSE {STATUS} END AS {STATUS}"
        kept = f"(SELECT * REPLACE ({status}) FROM ({asked}) WHERE NOT ({left_out}) OR ({keyed}))"
    return verdict(wide, kept, [("_wb_failed", code, f"[{reason}]")], hold=build.holds)


def _drop_seen(build: Compilation, draft: Draft, source: SourceInput, wide: Shape) -> None:
    """Rows that stand in the overlap side input, as they are now in all landed columns, were loaded before."""
    code = build.drop(draft.name, "deduplicated", "overlap")
    seen = quoted(f"seen_{draft.name}")
    known_before = f"SELECT {FINGERPRINT} FROM {side_name(f'overlap:{draft.name}')}"
    draft.prepare.append(
        Action(
            "sql",
            f"CREATE OR REPLACE TEMP TABLE {seen} AS SELECT {ORDINAL} AS seen FROM {landed_name(draft.name)} "
            f"WHERE {fingerprint_sql(source.schema)} IN ({known_before})",
        )
    )
    status = (
        f"CASE WHEN o.seen IS NULL THEN f.{STATUS} WHEN f.{STATUS} IN ({ALIVE}, {TOMBSTONE_ROW}) THEN {code} "
        f"WHEN f.{STATUS} = {RETRACTED_ROW} THEN {GONE} ELSE f.{STATUS} END AS {STATUS}"
    )
    draft.sql = (
        f"SELECT {listing(wide.columns, 'f')}, f.{ORDINAL}, {status}, f.{REJECTED} "
        f"FROM ({draft.sql}) f LEFT JOIN {seen} o ON f.{ORDINAL} = o.seen"
    )


def _drop_null_keys(build: Compilation, draft: Draft, source: SourceInput, wide: Shape) -> None:
    code = build.drop(draft.name, "quarantined", "key")
    is_null = " OR ".join(f"{quoted(name)} IS NULL" for name in source.key)
    nulls = ", ".join(source.key)
    failures = f"[{failure('key', literal(f'a key column is NULL ({nulls})'))}]"
    # A tombstone without a key names no row, so this rule holds for tombstones too.
    open_rows = f"CASE WHEN {STATUS} = {TOMBSTONE_ROW} AND ({is_null}) THEN {ALIVE} ELSE {STATUS} END"
    inner = f"(SELECT {listing(wide.columns)}, {ORDINAL}, {open_rows} AS {STATUS}, {REJECTED} FROM ({draft.sql}))"
    draft.sql = verdict(wide, inner, [(f"({is_null})", code, failures)])


def _drop_older(build: Compilation, draft: Draft, source: SourceInput, wide: Shape) -> None:
    """Of equal keys the latest by cursor wins, otherwise the last read."""
    code = build.drop(draft.name, "deduplicated", "key")
    keyed = quoted(f"keyed_{draft.name}")
    losers = quoted(f"older_{draft.name}")
    draft.prepare.append(Action("sql", f"CREATE OR REPLACE TEMP VIEW {keyed} AS {draft.sql}"))
    latest = [f"{quoted(source.cursor)} DESC NULLS LAST"] if source.cursor else []
    order = ", ".join([*latest, f"{ORDINAL} DESC"])
    live = f"IN ({ALIVE}, {TOMBSTONE_ROW}, {RETRACTED_ROW})"  # a later row may take back an earlier one of its key
    older = repeated(keyed, source.key, order, "_wb_loser", live=live)
    draft.prepare.append(Action("sql", f"CREATE OR REPLACE TEMP TABLE {losers} AS {older}"))
    draft.sql = (
        f"SELECT {', '.join(passed(wide))}, {ORDINAL}, "
        f"CASE WHEN _wb_loser IS NULL THEN {STATUS} WHEN {STATUS} = {RETRACTED_ROW} THEN {GONE} ELSE {code} END "
        f"AS {STATUS}, {REJECTED} "
        f"FROM {keyed} f LEFT JOIN {losers} l ON f.{ORDINAL} = l._wb_loser"
    )


def repeated(frame: str, columns: tuple[str, ...], order: str, name: str, *, live: str = "IN (0, -1)") -> str:
    """Ordinals of rows that share `columns` with a row before them in `order`; rows with a NULL there do not.

    Hashes find the few rows in question first, so that only those are sorted.
    """
    present = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
    rows = f"{frame} WHERE {STATUS} {live} AND {present}"
    hashed = f"hash({listing(columns)})"
    return (
        f"SELECT {ORDINAL} AS {name} FROM (SELECT {ORDINAL}, "
        f"row_number() OVER (PARTITION BY {listing(columns)} ORDER BY {order}) AS place "
        f"FROM {rows} AND {hashed} IN (SELECT {hashed} FROM {rows} GROUP BY 1 HAVING count(*) > 1)) WHERE place > 1"
    )
