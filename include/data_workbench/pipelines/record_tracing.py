"""The history of one record over all stores: who wrote it, from which run and version of a pipeline, when and why.

What was written stands in the journal, by keys; what was set aside, corrected and replayed in the quarantine; who
began a run, and why, in the audit trail. Values are in none of them but the quarantine, and are not told here: of a
change the hashes of the row before and after say whether it became another.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from data_workbench.errors import StateError, UsageError
from data_workbench.journal import Change, Journal
from data_workbench.metastore import audit, journal, quarantine, runs
from data_workbench.records.marks import RETRACTION, TOMBSTONE, UPSERT

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore

_DONE: Final = {UPSERT: "written", TOMBSTONE: "deleted", RETRACTION: "filtered out"}


@dataclass(frozen=True)
class _Place:
    """A dataset as the journal calls it."""

    connection: str
    dataset: str


def trace_record(store: Metastore, address: str, key: Mapping[str, str], *, everywhere: bool = True) -> dict[str, Any]:
    """What happened to a record, oldest first.

    Args:
        address: CONNECTION:DATASET of one store it stands in.
        key: its key there, values as text.
        everywhere: also what the same pipelines did with this key in other stores.

    Raises:
        UsageError: nothing is known of such a dataset; the hint names what is near.
    """
    known = _places(store)
    place = _find(address, known)
    pipelines = known[place]
    asked = [place, *sorted((one for one in known if one != place and known[one] & pipelines), key=str)]
    changes = [
        (one, change) for one in (asked if everywhere else [place]) for change in _changes(store, one, key, pipelines)
    ]
    about = _Runs(store)
    events = [_written(one, change, about) for one, change in changes]
    events += [event for record in quarantine.of_key(store, pipelines, list(key.values()))
               for event in _set_aside(record, about)]  # fmt: skip
    return {
        "connection": place.connection,
        "dataset": place.dataset,
        "key": dict(key),
        "pipelines": sorted(pipelines),
        "events": sorted(events, key=lambda one: (one["at"] is None, one["at"] or "")),
    }


def _places(store: Metastore) -> dict[_Place, set[str]]:
    """Datasets that the journal knows, with the pipelines that wrote them."""
    return {_Place(connection, dataset): names for (connection, dataset), names in journal.writers(store).items()}


def _find(address: str, known: Mapping[_Place, set[str]]) -> _Place:
    connection, _, stream = address.partition(":")
    spelled = (stream, f"public.{stream}", f"({stream})")
    found = next((one for one in (_Place(connection, name) for name in spelled) if one in known), None)
    if found is not None:
        return found
    names = [f"{one.connection}:{one.dataset.strip('()')}" for one in known]
    near = difflib.get_close_matches(address, names, 3, 0.5) or sorted(names)[:5]
    raise UsageError(
        f"the journal knows nothing of {address[:200]!r}",
        hint=f"it knows, among others: {', '.join(near)}" if near else "no run has written with keys yet",
    )


def _changes(store: Metastore, place: _Place, key: Mapping[str, str], pipelines: set[str]) -> list[Change]:
    """By the key as text, or else as the numbers and truths it looks like."""
    asked = Journal(store)
    for spelled in (dict(key), {name: _plain(value) for name, value in key.items()}):
        found = asked.changes(place.connection, place.dataset, spelled)
        if found:
            return [one for one in found if one.entry.pipeline in pipelines]
    return []


def _plain(text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, int | float) else text


def _written(place: _Place, change: Change, about: _Runs) -> dict[str, Any]:
    entry = change.entry
    what = "repaired" if entry.cause == "repair" else _DONE.get(change.operation, "written")
    what = "deleted" if entry.cause == "delete" else what
    # A point's hash covers its payload and model: the text it was made of may be another.
    is_same = entry.kind != "collection" and change.before is not None and change.before == change.after
    return {
        "at": _text(entry.written or entry.begun),
        "what": "written unchanged" if is_same and what == "written" else what,
        "certain": entry.written is not None,
        "connection": place.connection,
        "dataset": place.dataset,
        "key": dict(change.key),
        "before": change.before,
        "after": change.after,
        "batch": entry.part,
        "pipeline": entry.pipeline,
        "definition_hash": entry.definition_hash,
        **about.of(entry.run_id),
    }


def _set_aside(record: quarantine.Record, about: _Runs) -> Iterator[dict[str, Any]]:
    """A record's way through the quarantine, without its values."""
    common = {"record": record.id, "pipeline": record.pipeline, "node": record.node, "key": record.key}
    yield {
        "at": _text(record.created),
        "what": "set aside",
        **common,
        "rules": record.rules,
        **about.of(record.run_id),
    }
    for edit in record.edits or ():
        columns = sorted(edit.get("set", ()))
        yield {"at": edit["at"], "what": "corrected", **common, "columns": columns, "actor": edit["by"]}
    if record.state != "open":
        yield {"at": _text(record.changed), "what": record.state, **common, "by": record.changed_by}


class _Runs:
    """Runs by id, each asked for once: when, for whom, why."""

    def __init__(self, store: Metastore) -> None:
        self._store = store
        self._known: dict[str, dict[str, Any]] = {}

    def of(self, run_id: str) -> dict[str, Any]:
        if run_id not in self._known:
            self._known[run_id] = {"run_id": run_id, **self._asked(run_id), **self._begun(run_id)}
        return self._known[run_id]

    def _asked(self, run_id: str) -> dict[str, Any]:
        try:
            run = runs.get(self._store, run_id)
        except StateError:  # past its time
            return {"run_state": None, "requested_by": None, "correlation_id": None}
        return {"run_state": run.state, "requested_by": run.requested_by, "correlation_id": run.correlation_id}

    def _begun(self, run_id: str) -> dict[str, Any]:
        found = audit.list_entries(self._store, audit.Search(run_id=run_id, action="run.begun"), limit=1)
        return {"actor": found[0].actor, "reason": found[0].reason} if found else {"actor": None, "reason": None}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
