"""Lineage: OpenLineage events, kept once each, and the graph derived from them.

The graph is a function of the set of events: facts are folded by least and greatest times and by union, so the order
they come in does not matter, nor whether one comes twice. Ids are hashes of names and of contents. One transaction
folds at a time.

What holds when: each run of a job has a version, its inputs, outputs and column edges. A job's edges at a moment are
those of the version of its last run that held by then (`held_from`): from its COMPLETE or RUNNING on, or, before
that, from the first event that names outputs. A run that failed or was aborted never held.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore.database import Metastore, copy_into
from data_workbench.metastore.lineage_facts import ColumnEdge, Fact, Name, Shape, digest
from data_workbench.metastore.tables.lineage import (
    lineage_column_edges,
    lineage_dataset_edges,
    lineage_datasets,
    lineage_events,
    lineage_jobs,
    lineage_runs,
    lineage_schema_fields,
    lineage_schemas,
    lineage_versions,
)

_LOCK: Final = 0x0DA7A011E4
_RANKS: Final = {"START": 0, "RUNNING": 1, "COMPLETE": 2, "ABORT": 3, "FAIL": 4}
_ENDED: Final = frozenset({"COMPLETE", "ABORT", "FAIL"})
_UNDONE: Final = frozenset({"ABORT", "FAIL"})
_PAGE: Final = 500


def keep(store: Metastore, facts: Sequence[Fact], *, patience: str | None = None) -> int:
    """Keep events and fold in those that are new; how many are.

    Args:
        patience: how long a statement may take or wait for a lock, such as `5s`; the server's own limit if left out.
    """
    kept = 0
    for first in range(0, len(facts), _PAGE):
        page = list({one.id: one for one in facts[first : first + _PAGE]}.values())
        with store.transaction() as connection:
            if patience is not None:
                connection.execute(text("SELECT set_config('statement_timeout', :most, true)"), {"most": patience})
            fold_lock(connection)
            new = set(connection.scalars(_insert_events(page)))
            fold(connection, [one for one in page if one.id in new])
        kept += len(new)
    return kept


def rebuild(store: Metastore, read: Callable[[Mapping[str, Any]], Fact]) -> int:
    """Derive the whole graph again from the events; how many there are."""
    with store.transaction() as connection:
        fold_lock(connection)
        names = ", ".join(one.name for one in _DERIVED)
        connection.execute(text(f"TRUNCATE {names}"))
        count, last = 0, 0
        while True:
            found = connection.execute(
                select(lineage_events.c.sequence, lineage_events.c.event)
                .where(lineage_events.c.sequence > last)
                .order_by(lineage_events.c.sequence)
                .limit(_PAGE)
            ).all()
            if not found:
                return count
            fold(connection, [read(row.event) for row in found])
            count, last = count + len(found), found[-1].sequence


_DERIVED = (
    lineage_jobs,
    lineage_datasets,
    lineage_runs,
    lineage_column_edges,
    lineage_dataset_edges,
    lineage_versions,
    lineage_schemas,
    lineage_schema_fields,
)


def fold_lock(connection: Connection) -> None:
    """Let nobody else fold until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _insert_events(facts: Iterable[Fact]) -> Any:
    rows = [
        {
            "id": one.id,
            "kind": one.kind,
            "at": one.at,
            "state": one.state,
            "run_id": one.run_id,
            "job_id": one.job.id if one.job else None,
            "event": one.event,
        }
        for one in facts
    ]
    return insert(lineage_events).values(rows).on_conflict_do_nothing().returning(lineage_events.c.id)


# ------------------------------------------------------------------------------------------------------ folding


def fold(connection: Connection, facts: Sequence[Fact]) -> None:
    """Fold facts that were not folded before into the graph."""
    if not facts:
        return
    _fold_names(connection, lineage_jobs, _told_of_jobs(facts))
    _fold_names(connection, lineage_datasets, _told_of_datasets(facts))
    _fold_schemas(connection, facts)
    _fold_runs(connection, [one for one in facts if one.run_id is not None and one.job is not None])


_Told = tuple[Name, Fact, Mapping[str, Any]]


def _told_of_jobs(facts: Sequence[Fact]) -> Iterator[_Told]:
    for one in facts:
        if one.job is not None:
            yield one.job, one, one.job_facets
        if one.parent is not None:
            yield one.parent[1], one, {}


def _told_of_datasets(facts: Sequence[Fact]) -> Iterator[_Told]:
    for one in facts:
        for dataset in one.datasets:
            yield dataset.name, one, dataset.facets
        for edge in one.shape.columns:
            yield edge.input, one, {}


def _fold_names(connection: Connection, table: Any, told: Iterable[_Told]) -> None:
    """Names with when they were seen, and of each facet the latest."""
    grouped: dict[Name, list[tuple[Fact, Mapping[str, Any]]]] = {}
    for name, fact, given in told:
        grouped.setdefault(name, []).append((fact, given))
    if not grouped:
        return
    known = _by_id(connection, table, [name.id for name in grouped])
    rows = []
    for name, items in grouped.items():
        before, moments = known.get(name.id), [fact.at for fact, _ in items]
        facets: Mapping[str, Any] = before.facets if before else {}
        for fact, given in items:
            facets = merge_facets(facets, given, fact)
        times = {
            "first_seen": min([*moments, before.first_seen] if before else moments),
            "last_seen": max([*moments, before.last_seen] if before else moments),
        }
        rows.append({"id": name.id, "namespace": name.namespace, "name": name.name, "facets": facets, **times})
    _upsert(connection, table, rows)


def merge_facets(known: Mapping[str, Any], given: Mapping[str, Any], fact: Fact) -> dict[str, Any]:
    """Known facets and those that are later, by name; of the same time the greater event id wins."""
    found = dict(known)
    for name, value in given.items():
        before = found.get(name)
        if before is None or _stamp_of(before) < (fact.at, fact.id):
            found[name] = {"at": fact.at.isoformat(), "event": fact.id, "facet": value}
    return dict(sorted(found.items()))


def _stamp_of(kept: Mapping[str, Any]) -> tuple[datetime, str]:
    return datetime.fromisoformat(kept["at"]), kept["event"]


def _by_id(connection: Connection, table: Any, ids: Collection[str]) -> dict[str, Row[Any]]:
    found = connection.execute(select(table).where(table.c.id.in_(list(ids))))
    return {row.id: row for row in found}


def _upsert(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows whole; whoever does holds the lock."""
    keys = [column.name for column in table.primary_key]
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


def _fold_schemas(connection: Connection, facts: Sequence[Fact]) -> None:
    seen: set[tuple[str, datetime, str, bool]] = set()
    fields: dict[str, Any] = {}
    for one in facts:
        for dataset in one.datasets:
            told = (dataset.facets.get("schema") or {}).get("fields")
            if told:
                name = digest(told)
                fields[name] = json.loads(json.dumps(told, sort_keys=True))  # what has one hash is one row
                seen.add((dataset.name.id, one.at, name, dataset.written))
    if not seen:
        return
    known = insert(lineage_schema_fields).on_conflict_do_nothing()
    connection.execute(known, [{"hash": name, "fields": value} for name, value in fields.items()])
    rows = [dict(zip(("dataset_id", "at", "hash", "written"), one, strict=True)) for one in seen]
    connection.execute(insert(lineage_schemas).on_conflict_do_nothing(), rows)


# --------------------------------------------------------------------------------------------------------- runs


def _fold_runs(connection: Connection, facts: Sequence[Fact]) -> None:
    grouped: dict[tuple[str, str], list[Fact]] = {}
    for one in facts:
        assert one.run_id is not None
        assert one.job is not None
        grouped.setdefault((one.run_id, one.job.id), []).append(one)
    if not grouped:
        return
    table = lineage_runs
    found = connection.execute(select(table).where(table.c.run_id.in_({run for run, _ in grouped})))
    known = {(row.run_id, row.job_id): dict(row._mapping) for row in found}
    shapes = _shapes(connection, {row["version_id"] for row in known.values() if row["version_id"]})
    rows, versions, left = [], {}, set()
    for key, items in grouped.items():
        row = known.get(key) or _empty_run(*key)
        shape = shapes.get(row["version_id"], Shape())
        for one in items:
            _fold_run(row, one)
            shape |= one.shape
        version = shape.version(key[1])
        if row["version_id"] not in (None, version):
            left.add(row["version_id"])
        row["version_id"], row["held_from"] = version, _held_from(row)
        versions[version] = (key[1], shape)
        rows.append(row)
    _add_versions(connection, versions)
    _upsert(connection, table, rows)
    _drop_unused(connection, left)


def _empty_run(run_id: str, job_id: str) -> dict[str, Any]:
    empty = dict.fromkeys(column.name for column in lineage_runs.c)
    return {**empty, "run_id": run_id, "job_id": job_id, "facets": {}}


def _fold_run(row: dict[str, Any], fact: Fact) -> None:
    row["first_seen"] = _least(row["first_seen"], fact.at)
    row["last_seen"] = max(row["last_seen"] or fact.at, fact.at)
    if fact.state in ("COMPLETE", "RUNNING"):
        row["confirmed"] = _least(row["confirmed"], fact.at)
    if fact.shape.outputs:
        row["named_outputs"] = _least(row["named_outputs"], fact.at)
    if fact.state in _RANKS and _order(fact.state, fact.at) > _order(row["state"], row["state_at"]):
        row["state"], row["state_at"] = fact.state, fact.at
    if fact.parent is not None:  # of one run it is the same in every event; of others the greatest, whatever came first
        told = (fact.parent[0], fact.parent[1].id)
        row["parent_run_id"], row["parent_job_id"] = max(told, (row["parent_run_id"] or "", row["parent_job_id"] or ""))
    if fact.origin is not None:
        row["origin"] = max(row["origin"] or "", fact.origin)
    row["facets"] = merge_facets(row["facets"], fact.run_facets, fact)


def _least(known: datetime | None, moment: datetime) -> datetime:
    return moment if known is None else min(known, moment)


def _order(state: str | None, at: datetime | None) -> tuple[Any, ...]:
    """The state of a run is its last end, or without one its last sign of life."""
    return (-1,) if state is None or at is None else (state in _ENDED, at, _RANKS[state])


def _held_from(row: Mapping[str, Any]) -> datetime | None:
    return None if row["state"] in _UNDONE else row["confirmed"] or row["named_outputs"]


def _shapes(connection: Connection, versions: Collection[str]) -> dict[str, Shape]:
    """Versions as they were folded."""
    if not versions:
        return {}
    names: dict[str, Name] = {}
    parts: dict[str, tuple[set[Any], ...]] = {one: (set(), set(), set(), set()) for one in versions}
    edges, columns = lineage_dataset_edges, lineage_column_edges
    datasets = connection.execute(select(edges).where(edges.c.version_id.in_(versions))).all()
    fields = connection.execute(select(columns).where(columns.c.version_id.in_(versions))).all()
    ids = {row.dataset_id for row in datasets} | {one for row in fields for one in (row.input_id, row.output_id)}
    for row in _by_id(connection, lineage_datasets, ids).values():
        names[row.id] = Name(row.namespace, row.name)
    for row in datasets:
        inputs, outputs, described, _ = parts[row.version_id]
        (inputs if row.role == "input" else outputs).add(names[row.dataset_id])
        if row.described:
            described.add(names[row.dataset_id])
    for row in fields:
        edge = (names[row.input_id], row.input_column, names[row.output_id], row.output_column)
        parts[row.version_id][3].add(ColumnEdge(*edge, tuple(row.kinds), tuple(row.expressions)))
    return {one: Shape(*map(frozenset, sets)) for one, sets in parts.items()}


def _add_versions(connection: Connection, versions: Mapping[str, tuple[str, Shape]]) -> None:
    rows = [{"id": version, "job_id": job_id} for version, (job_id, _) in versions.items()]
    added = insert(lineage_versions).values(rows).on_conflict_do_nothing().returning(lineage_versions.c.id)
    new = set(connection.scalars(added))
    shapes = {version: shape for version, (_, shape) in versions.items() if version in new}
    datasets = [
        (version, one.id, role, role == "output" and one in shape.described)
        for version, shape in shapes.items()
        for role, names in (("input", shape.inputs), ("output", shape.outputs))
        for one in names
    ]
    columns = [
        (
            version,
            one.input.id,
            one.input_column,
            one.output.id,
            one.output_column,
            list(one.kinds),
            list(one.expressions),
        )
        for version, shape in shapes.items()
        for one in shape.columns
    ]
    if datasets:
        copy_into(connection, "lineage_dataset_edges", lineage_dataset_edges.c.keys(), datasets)
    if columns:
        copy_into(connection, "lineage_column_edges", lineage_column_edges.c.keys(), columns)


def _drop_unused(connection: Connection, versions: Collection[str]) -> None:
    """Versions of runs that have become another: what only a part of a run's events told."""
    if not versions:
        return
    used = select(lineage_runs.c.version_id).where(lineage_runs.c.version_id == lineage_versions.c.id).exists()
    connection.execute(delete(lineage_versions).where(lineage_versions.c.id.in_(versions), ~used))
