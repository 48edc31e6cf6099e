"""Quarantined records: looked at with classified values masked, corrected, closed, and sent through again by a DAG run.

Whoever does something is told in the audit trail, in the transaction that does it, or before another process is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from data_workbench.api.datamodels.quarantine import RecordDetailsOut, RecordOut, RecordsOut
from data_workbench.api.services.metastore import metastore
from data_workbench.errors import StateError, UsageError
from data_workbench.metastore import audit, pipelines, quarantine, runs
from data_workbench.metastore.audit import Act, Author
from data_workbench.metastore.quarantine import QuarantineState, Record
from data_workbench.pipelines import edits
from data_workbench.pipelines.history import plan_of
from data_workbench.pipelines.masking import Masked, Masks
from data_workbench.pipelines.plan import RunPlan
from data_workbench.pipelines.records import source_key, traced
from data_workbench.records.marks import PREFIX


def records(
    *, pipeline: str | None, run_id: str | None, rule: str | None, state: QuarantineState | None, limit: int, after: int
) -> RecordsOut:
    """A page of records by id."""
    with metastore() as store:
        chosen: dict[str, Any] = {"pipeline": pipeline, "run_id": run_id, "rule": rule, "state": state}
        found = quarantine.list_records(store, **chosen, limit=limit + 1, after=after)
        masks = Masks(store)
        told = [_told(masks.masked(one)) for one in found[:limit]]
        following = told[-1].id if len(found) > limit else None
        return RecordsOut(records=told, total_entries=quarantine.count(store, **chosen), next_after=following)


def require_known(pipeline: str) -> None:
    """Refuse the name of a pipeline that has never run.

    Raises:
        UsageError: nobody has heard of it.
    """
    with metastore() as store:
        if pipelines.definition(store, pipeline) is None and not quarantine.count(store, pipeline=pipeline, state=None):
            raise UsageError(f"pipeline {pipeline!r} has never run", hint="GET /data/pipelines lists those that have")


def record(record_id: int) -> RecordDetailsOut:
    """One record with its rules as they were. Raises StateError if there is none."""
    with metastore() as store:
        found = quarantine.get(store, record_id)
        plan = plan_of(store, found.run_id)
        try:
            version = runs.get(store, found.run_id).definition_hash
        except StateError:  # the run is gone, its records stay
            version = None
        written = (plan.contracts.get(found.node) or {}) if plan else {}
        promises = _promises(written.get("columns") or {}, found.rules)
        is_refused = plan is not None and found.node in plan.destinations
        return RecordDetailsOut(
            record=_told(Masks(store).masked(found)),
            definition_hash=version,
            promises=promises,
            origin=None if is_refused else found.ordinal,
            can_replay=plan is None or source_key(plan, found) is not None,
        )


def pipelines_of(ids: Collection[int]) -> dict[int, str]:
    """The pipeline of each record. Raises StateError for one that is not there."""
    with metastore() as store:
        return {one.id: one.pipeline for one in quarantine.get_all(store, ids)}


def edit(record_id: int, values: Mapping[str, Any], author: Author) -> RecordOut:
    """Correct columns of an open record.

    Raises:
        UsageError: a column or value does not fit.
        StateError: it is not open any more, or the plan of its run is gone.
    """
    with metastore() as store:
        texts = {name: _text(value) for name, value in values.items()}
        changed = edits.edit(store, record_id, texts, by=author.actor, author=author)
        return _told(Masks(store).masked(changed))


def discard(ids: Sequence[int], author: Author) -> int:
    """Close open records for good; the number closed."""
    with metastore() as store:
        return quarantine.mark(store, ids, "discarded", by=author.actor, author=author)


def prepare_replay(pipeline: str, ids: Sequence[int] | Literal["all"], author: Author) -> str:
    """Tell of a replay that is asked for; the id its DAG run is to have.

    Raises:
        UsageError: a record is not open, or of another pipeline, or cannot be read again, or none is open.
    """
    plans: dict[str, RunPlan | None] = {}
    with metastore() as store:
        if ids == "all":
            if not quarantine.list_records(store, pipeline=pipeline, limit=1):
                raise UsageError(f"no row of {pipeline!r} waits in the quarantine")
        else:
            for found in quarantine.get_all(store, ids):
                if (found.pipeline, found.state) != (pipeline, "open"):
                    raise UsageError(f"record {found.id} is {found.state}, of pipeline {found.pipeline!r}")
                if found.run_id not in plans:
                    plans[found.run_id] = plan_of(store, found.run_id)
                if (plan := plans[found.run_id]) is not None:
                    traced(plan, found)
        run_id = f"replay__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        asked = ids if ids == "all" else sorted(ids)[:1_000]
        details = {"records": asked, "asked": ids if ids == "all" else len(ids), "dag_run_id": run_id}
        audit.record(store, author, Act("quarantine.replay_asked", pipeline, details))
        return run_id


def _told(masked: Masked) -> RecordOut:
    one: Record = masked.record
    values = {name: getattr(one, name) for name in RecordOut.model_fields if name != "hidden"}
    values["row"] = {name: value for name, value in one.row.items() if not name.startswith(PREFIX)}
    return RecordOut(**values, hidden=sorted(masked.hidden))


def _promises(columns: Mapping[str, Any], rules: Sequence[str]) -> dict[str, Any]:
    """The promises of columns that a rule names, without what was left at its default."""
    named = {name for name in columns for rule in rules if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rule)}
    return {name: {key: one for key, one in columns[name].items() if one not in (None, False)} for name in named}


def _text(value: Any) -> str | None:
    """A JSON value as the text that its column's type parses."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
