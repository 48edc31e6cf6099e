"""What the graph of lineage was at a moment, and what is listed of jobs, datasets, runs and events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Text, any_, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.lineage_facts import Name
from data_workbench.metastore.tables.lineage import (
    lineage_datasets,
    lineage_events,
    lineage_jobs,
    lineage_runs,
    lineage_schema_fields,
    lineage_schemas,
)
from data_workbench.metastore.tables.quality import checks
from data_workbench.metastore.tables.telling import incidents

_STANDING = """CREATE TEMPORARY TABLE standing ON COMMIT DROP AS
    SELECT j.id AS job_id, r.version_id, r.parent_job_id
    FROM lineage_jobs j CROSS JOIN LATERAL (
        SELECT version_id, parent_job_id FROM lineage_runs
        WHERE job_id = j.id AND held_from <= :at ORDER BY held_from DESC, run_id DESC LIMIT 1
    ) r"""


class JobRow(NamedTuple):
    """A job whose version holds."""

    id: str
    name: Name
    parent: str | None


@dataclass(frozen=True)
class Snapshot:
    """The graph as rows; ids are those of names.

    Args:
        until: when it changes by itself, as an event told a time to come.
        roles: job, dataset, whether it is an output, and whether column lineage of it was told.
        columns: job, input and its column, output and its column (None: all of it), kinds.
    """

    revision: int
    at: datetime
    until: datetime | None
    jobs: Sequence[JobRow]
    datasets: dict[str, Name]
    roles: Sequence[tuple[str, str, bool, bool]]
    columns: Sequence[tuple[str, str, str, str, str | None, list[str]]]


def revision(store: Metastore) -> int:
    """Grows with every event that is kept."""
    with store.transaction() as connection:
        return connection.scalar(select(func.max(lineage_events.c.sequence))) or 0


def snapshot(store: Metastore, at: datetime) -> Snapshot:
    """What held at a moment."""
    with store.transaction() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        number = connection.scalar(select(func.max(lineage_events.c.sequence))) or 0
        later = select(func.min(lineage_runs.c.held_from)).where(lineage_runs.c.held_from > at)
        until = connection.scalar(later)
        connection.execute(text(_STANDING), {"at": at})
        jobs = connection.execute(
            text(
                "SELECT j.id, j.namespace, j.name, s.parent_job_id"
                " FROM standing s JOIN lineage_jobs j ON j.id = s.job_id"
            )
        ).all()
        roles = connection.execute(
            text(
                "SELECT s.job_id, e.dataset_id, e.role = 'output', e.described"
                " FROM standing s JOIN lineage_dataset_edges e USING (version_id)"
            )
        ).all()
        columns = connection.execute(
            text(
                "SELECT s.job_id, e.input_id, e.input_column, e.output_id, e.output_column, e.kinds"
                " FROM standing s JOIN lineage_column_edges e USING (version_id)"
            )
        ).all()
        seen = select(lineage_datasets.c.id, lineage_datasets.c.namespace, lineage_datasets.c.name)
        datasets = connection.execute(seen.where(lineage_datasets.c.first_seen <= at)).all()
    return Snapshot(
        revision=number,
        at=at,
        until=until,
        jobs=[JobRow(row[0], Name(row[1], row[2]), row[3]) for row in jobs],
        datasets={row[0]: Name(row[1], row[2]) for row in datasets},
        roles=[tuple(row) for row in roles],
        columns=[tuple(row) for row in columns],
    )


def fields_at(store: Metastore, datasets: Collection[str], at: datetime) -> dict[str, list[dict[str, Any]]]:
    """The last schema of datasets by then: as written, or else as read; of those that have one."""
    table, contents = lineage_schemas.c, lineage_schema_fields.c
    last = (
        select(table.dataset_id, table.hash)
        .ext(distinct_on(table.dataset_id))
        .where(table.dataset_id == any_(literal(list(datasets), ARRAY(Text))), table.at <= at)
        .order_by(table.dataset_id, table.written.desc(), table.at.desc(), table.hash.desc())
        .subquery()
    )
    statement = select(last.c.dataset_id, contents.fields).join(lineage_schema_fields, contents.hash == last.c.hash)
    with store.transaction() as connection:
        return {row.dataset_id: row.fields for row in connection.execute(statement)}


def owners(store: Metastore, ids: Collection[str] | None = None) -> dict[str, list[str]]:
    """Names of owners by the id of a job or a dataset, of those that have one; of all if none are named."""
    found: dict[str, list[str]] = {}
    with store.transaction() as connection:
        for table in (lineage_jobs, lineage_datasets):
            told = table.c.facets["ownership"]["facet"]["owners"]
            statement = select(table.c.id, told.label("told")).where(told.is_not(None))
            if ids is not None:
                statement = statement.where(table.c.id == any_(literal(list(ids), ARRAY(Text))))
            for row in connection.execute(statement):
                if isinstance(row.told, list):
                    found[row.id] = sorted({one["name"] for one in row.told if isinstance(one, dict) and "name" in one})
    return found


def checks_of(store: Metastore, pipelines: Collection[str]) -> list[dict[str, Any]]:
    """The latest outcome of each check of these pipelines."""
    if not pipelines:
        return []
    table = checks.c
    statement = (
        select(table.pipeline, table.dataset, table.name, table.outcome, table.checked)
        .ext(distinct_on(table.pipeline, table.dataset, table.name))
        .where(table.pipeline.in_(list(pipelines)))
        .order_by(table.pipeline, table.dataset, table.name, table.checked.desc())
    )
    with store.transaction() as connection:
        return [dict(row._mapping) for row in connection.execute(statement)]


def open_incidents(store: Metastore, contracts: Collection[str]) -> dict[str, dict[str, Any]]:
    """What is open now of contracts that do not hold: how bad, since when, who has taken it on."""
    if not contracts:
        return {}
    table = incidents.c
    shown = (table.contract, table.severity, table.opened, table.acknowledged_by)
    statement = select(*shown).where(table.contract.in_(list(contracts)), table.recovered.is_(None))
    with store.transaction() as connection:
        found = connection.execute(statement)
        return {
            row.contract: {
                "severity": row.severity,
                "opened": row.opened.isoformat(),
                "acknowledged_by": row.acknowledged_by,
            }
            for row in found
        }


def reads(store: Metastore, namespace: str, names: str) -> dict[str, set[tuple[str, str]]]:
    """What jobs of a namespace read now, by namespace and name; of those that write nothing.

    Args:
        names: a regular expression, of which jobs.
    """
    statement = text(
        "SELECT j.name, d.namespace, d.name FROM lineage_standing s JOIN lineage_jobs j ON j.id = s.job_id"
        " JOIN lineage_dataset_edges e ON e.version_id = s.version_id AND e.role = 'input'"
        " JOIN lineage_datasets d ON d.id = e.dataset_id"
        " WHERE j.namespace = :namespace AND j.name ~ :names AND NOT EXISTS (SELECT FROM lineage_dataset_edges w"
        "  WHERE w.version_id = s.version_id AND w.role = 'output')"
    )
    found: dict[str, set[tuple[str, str]]] = {}
    with store.transaction() as connection:
        for job, space, name in connection.execute(statement, {"namespace": namespace, "names": names}):
            found.setdefault(job, set()).add((space, name))
    return found


def last_run(store: Metastore, namespace: str) -> datetime | None:
    """When a run of a job of a namespace was last heard of, not counting times to come."""
    statement = text(
        "SELECT max(r.last_seen) FROM lineage_jobs j JOIN lineage_runs r ON r.job_id = j.id"
        " WHERE j.namespace = :namespace AND r.run_id NOT LIKE 'job-event:%' AND r.last_seen <= now()"
    )
    with store.transaction() as connection:
        found: datetime | None = connection.scalar(statement, {"namespace": namespace})
        return found


# ----------------------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class RunRow:
    """One run of a job."""

    run_id: str
    job: Name
    origin: str | None
    state: str | None
    first_seen: datetime
    last_seen: datetime
    version_id: str | None
    parent_run_id: str | None


def runs_of(store: Metastore, run_id: str) -> list[RunRow]:
    """The runs that an id stands for: of OpenLineage, with those below it, or of a run in this metastore."""
    table = lineage_runs.c
    wanted = (table.run_id == run_id.lower()) | (table.parent_run_id == run_id.lower()) | (table.origin == run_id)
    return _runs(store, wanted, None)


def runs_reading(store: Metastore, datasets: Collection[str], *, since: datetime, limit: int = 1_000) -> list[RunRow]:
    """Runs that read one of these datasets and were still at work then, or began later; the first ones."""
    versions = text(
        "version_id IN (SELECT version_id FROM lineage_dataset_edges WHERE role = 'input' AND dataset_id = ANY(:ids))"
    ).bindparams(ids=list(datasets))
    return _runs(store, (lineage_runs.c.last_seen >= since) & versions, limit)


def outputs_of(store: Metastore, versions: Collection[str]) -> list[Name]:
    """What versions of jobs write."""
    statement = text(
        "SELECT DISTINCT d.namespace, d.name"
        " FROM lineage_dataset_edges e JOIN lineage_datasets d ON d.id = e.dataset_id"
        " WHERE e.role = 'output' AND e.version_id = ANY(:ids) ORDER BY 1, 2"
    )
    with store.transaction() as connection:
        return [Name(*row) for row in connection.execute(statement, {"ids": list(versions)})]


def _runs(store: Metastore, wanted: Any, limit: int | None) -> list[RunRow]:
    runs, jobs = lineage_runs.c, lineage_jobs.c
    given = (runs.run_id, runs.origin, runs.state, runs.first_seen, runs.last_seen, runs.version_id, runs.parent_run_id)
    statement = (
        select(*given, jobs.namespace, jobs.name)
        .join(lineage_jobs, jobs.id == runs.job_id)
        .where(wanted)
        .order_by(runs.first_seen, runs.run_id)
        .limit(limit)
    )
    with store.transaction() as connection:
        return [_run(row) for row in connection.execute(statement)]


def _run(row: Any) -> RunRow:
    values = dict(row._mapping)
    return RunRow(job=Name(values.pop("namespace"), values.pop("name")), **values)


# ---------------------------------------------------------------------------------------------------------- lists


def namespaces(store: Metastore) -> list[dict[str, Any]]:
    """Namespaces of jobs and datasets, and how many each has."""
    statement = text(
        "SELECT namespace AS name, sum(jobs)::bigint AS jobs, sum(datasets)::bigint AS datasets FROM ("
        " SELECT namespace, 1 AS jobs, 0 AS datasets FROM lineage_jobs"
        " UNION ALL SELECT namespace, 0, 1 FROM lineage_datasets) AS a GROUP BY namespace ORDER BY namespace"
    )
    with store.transaction() as connection:
        return [dict(row._mapping) for row in connection.execute(statement)]


def listed(
    store: Metastore, kind: str, *, namespace: str | None = None, search: str | None = None, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """A page of `jobs` or `datasets` with their latest facets, and how many there are."""
    table = lineage_jobs if kind == "jobs" else lineage_datasets
    wanted = [table.c.namespace == namespace] if namespace is not None else []
    if search:
        wanted.append(table.c.name.icontains(search, autoescape=True))
    statement = select(table).where(*wanted).order_by(table.c.namespace, table.c.name).limit(limit).offset(offset)
    with store.transaction() as connection:
        count = connection.scalar(select(func.count()).select_from(table).where(*wanted)) or 0
        return [_named(row) for row in connection.execute(statement)], count


def listed_runs(
    store: Metastore, *, namespace: str | None, job: str | None, state: str | None, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """A page of runs of jobs, latest first, and how many there are."""
    runs, jobs = lineage_runs.c, lineage_jobs.c
    asked = ((jobs.namespace, namespace), (jobs.name, job), (runs.state, state))
    wanted = [column == value for column, value in asked if value is not None]
    shown = (runs.run_id, runs.origin, runs.state, runs.first_seen, runs.last_seen, runs.parent_run_id, runs.facets)
    joined = lineage_runs.join(lineage_jobs, jobs.id == runs.job_id)
    statement = select(*shown, jobs.namespace, jobs.name.label("job")).select_from(joined).where(*wanted)
    statement = statement.order_by(runs.last_seen.desc(), runs.run_id).limit(limit).offset(offset)
    with store.transaction() as connection:
        count = connection.scalar(select(func.count()).select_from(joined).where(*wanted)) or 0
        found = connection.execute(statement).all()
    return [{**row._mapping, "facets": _standing_facets(row.facets)} for row in found], count


def _standing_facets(kept: dict[str, Any]) -> dict[str, Any]:
    return {name: one["facet"] for name, one in kept.items() if one["facet"].get("_deleted") is not True}


def _named(row: Row[Any]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in ("namespace", "name", "first_seen", "last_seen")}
    return {**values, "facets": _standing_facets(row.facets)}


def events(
    store: Metastore, *, since: datetime | None = None, before: datetime | None = None, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """A page of events as they came, latest first, and how many there are."""
    table = lineage_events.c
    wanted = [table.at >= since] if since else []
    wanted += [table.at < before] if before else []
    statement = select(table.event).where(*wanted).order_by(table.at.desc(), table.sequence.desc())
    with store.transaction() as connection:
        count = connection.scalar(select(func.count()).select_from(lineage_events).where(*wanted)) or 0
        return list(connection.scalars(statement.limit(limit).offset(offset))), count


def written_last(store: Metastore, at: datetime) -> dict[str, datetime]:
    """When each dataset was last written by a run that held, by its id."""
    statement = text(
        "SELECT e.dataset_id, max(r.confirmed) FROM lineage_runs r JOIN lineage_dataset_edges e USING (version_id)"
        " WHERE r.held_from <= :at AND r.confirmed <= :at AND e.role = 'output' GROUP BY e.dataset_id"
    )
    with store.transaction() as connection:
        return {row[0]: row[1] for row in connection.execute(statement, {"at": at})}
