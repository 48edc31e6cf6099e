"""The history of one record over all stores: who wrote it, from which run and version of a pipeline, when and why.

What was written stands in the journal, by keys, and so does what was found in watched streams, whoever wrote it; what
was set aside, corrected and replayed in the quarantine; who began a run, and why, in the audit trail. Values are told
where a pipeline or a watch has them noted, without classified ones; of everything else hashes say whether it changed.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from data_workbench.errors import StateError, UsageError
from data_workbench.journal import Change, Journal
from data_workbench.journal.watched import Watched, watched
from data_workbench.metastore import audit, quarantine, runs, stream_schemas
from data_workbench.pipelines.record_links import Place, Places, reached
from data_workbench.records.marks import RETRACTION, TOMBSTONE, UPSERT

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore

_DONE: Final = {UPSERT: "written", TOMBSTONE: "deleted", RETRACTION: "filtered out"}
_FOUND: Final = {
    "insert": "appeared",
    "update": "changed",
    "delete": "disappeared",
    "truncate": "emptied",
    "gap": "not known",
}


def trace_record(store: Metastore, address: str, key: Mapping[str, str], *, everywhere: bool = True) -> dict[str, Any]:
    """What happened to a record, oldest first.

    Args:
        address: CONNECTION:DATASET of one store it stands in.
        key: its key there, values as text.
        everywhere: also in other stores: what the same pipelines did with this key, and where they carry it from or to.

    Raises:
        UsageError: nothing is known of such a dataset; the hint names what is near.
    """
    known = Places.of(store)
    [place, *same] = _find(address, known)
    asked = {one: dict(key) for one in (place, *same)}
    if everywhere:
        found = reached(asked, key, known, known.links(store))
        asked = {one: named for one, named in found.items() if one in known.all()}
        pipelines = {name for one in asked for name in known.writers.get(one, ())}
        beside = sorted((one for one, names in known.writers.items() if names & pipelines), key=str)
        asked = {**{one: dict(key) for one in beside}, **asked}
    else:
        pipelines = {name for one in asked for name in known.writers.get(one, ())}
    about = _Runs(store)
    grouped: dict[Place, list[Place]] = {}
    for one in asked:
        grouped.setdefault(known.identity(one), []).append(one)
    groups = [(places, asked[places[0]]) for places in grouped.values()]
    events = [event for places, named in groups for event in _of_places(store, known, places, named, pipelines, about)]
    values = {tuple(named.values()): None for named in (key, *asked.values())}
    for record in {one.id: one for keys in values for one in quarantine.of_key(store, pipelines, list(keys))}.values():
        events += _set_aside(record, about)
    return {
        "connection": place.connection,
        "dataset": place.dataset,
        "key": dict(key),
        "pipelines": sorted(pipelines),
        "events": sorted(events, key=lambda one: (one["at"] is None, one["at"] or "")),
    }


def watched_changes(
    store: Metastore, address: str, *, key: Mapping[str, str] | None = None, limit: int = 1_000
) -> dict[str, Any]:
    """What was found in a watched stream, oldest first.

    Raises:
        UsageError: it is not watched.
    """
    known = Places.of(store)
    place = _find(address, replace(known, writers={}))[0]
    watch, about = known.watched[place], _Runs(store)
    found = watched(store, place.connection, place.dataset, key, limit=limit)
    return {
        "connection": place.connection,
        "dataset": place.dataset,
        "how": watch.how,
        "checked": _text(watch.checked),
        "events": [_found(place, one, about) for one in found],
        "schemas": list(_schemas(store, place)),
    }


def _find(address: str, known: Places) -> list[Place]:
    """What an address means: more than one where pipelines and watches call the same thing in several ways."""
    connection, _, stream = address.partition(":")
    found = known.alike(Place(connection, stream))
    if found:
        return found
    names = [one.address for one in known.all()]
    near = difflib.get_close_matches(address, names, 3, 0.5) or sorted(names)[:5]
    raise UsageError(
        f"the journal knows nothing of {address[:200]!r}",
        hint=f"it knows, among others: {', '.join(near)}" if near else "no run has written with keys yet",
    )


def _of_places(
    store: Metastore, known: Places, places: list[Place], key: Mapping[str, str], pipelines: set[str], about: _Runs
) -> list[dict[str, Any]]:
    """What was written to one thing, by all its names; what was found there, and how the stream's schema changed."""
    written = [_written(one, change, about) for one in places for change in _changes(store, one, key, pipelines)]
    schemas = {(told["at"], told["version"]): told for one in places for told in _schemas(store, one)}.values()
    watches = [one for one in places if one in known.watched]
    found = [
        _found(one, change, about) for one in watches for change in watched(store, one.connection, one.dataset, key)
    ]
    return [*written, *(one for one in found if not _is_told(one, written)), *schemas]


def _is_told(found: dict[str, Any], written: list[dict[str, Any]]) -> bool:
    """Whether a change that was found is one that a run wrote: then what it was before and after goes there."""
    if found["what"] not in ("appeared", "changed", "disappeared"):
        return False
    for one in reversed(written):
        by_run = found["run_id"] is not None and found["run_id"] == one["run_id"]
        between = found["since"] is not None and one["at"] is not None and found["since"] < one["at"] <= found["at"]
        if by_run or (found["run_id"] is None and between):
            one["changed"] = found["changed"]
            if found["values"] is not None:
                one["values"] = found["values"]
            return True
    return False


def _changes(store: Metastore, place: Place, key: Mapping[str, str], pipelines: set[str]) -> list[Change]:
    """By the key as text, or else as the numbers and truths it looks like."""
    asked = Journal(store)
    for one in (dict(key), {name: _plain(value) for name, value in key.items()}):
        found = asked.changes(place.connection, place.dataset, one)
        if found:
            return [change for change in found if change.entry.pipeline in pipelines]
    return []


def _plain(text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, int | float) else text


def _written(place: Place, change: Change, about: _Runs) -> dict[str, Any]:
    entry = change.entry
    what = "repaired" if entry.cause == "repair" else _DONE.get(change.operation, "written")
    what = "deleted" if entry.cause == "delete" else what
    # A point's hash covers its payload and model: the text it was made of may be another.
    is_same = entry.kind != "collection" and change.before is not None and change.before == change.after
    known = change.row is not None or change.row_before is not None
    return {
        "at": _text(entry.written or entry.begun),
        "what": "written unchanged" if is_same and what == "written" else what,
        "certain": entry.written is not None,
        "connection": place.connection,
        "dataset": place.dataset,
        "key": dict(change.key),
        "before": change.before,
        "after": change.after,
        "values": {"before": change.row_before, "after": change.row} if known else None,
        "batch": entry.part,
        "pipeline": entry.pipeline,
        "definition_hash": entry.definition_hash,
        **about.of(entry.run_id),
    }


def _found(place: Place, one: Watched, about: _Runs) -> dict[str, Any]:
    """A change that was found: whoever wrote it, as far as anything says who."""
    found, run_id = one.found, one.note.get("run_id")
    run = about.of(run_id) if run_id else {"run_id": None}
    has_values = found.row_before is not None or found.row_after is not None
    return {
        "at": found.at,
        "since": found.since,
        "what": _FOUND[found.what],
        "connection": place.connection,
        "dataset": place.dataset,
        "key": dict(one.key) if found.what in ("insert", "update", "delete") else None,
        "before": found.hash_before,
        "after": found.hash_after,
        "values": {"before": one.before, "after": one.after} if has_values else None,
        "changed": one.changed,
        "transaction": found.xid,
        "pipeline": one.note.get("pipeline"),
        **run,
        "actor": one.note.get("actor") or found.actor or run.get("actor"),
        "reason": one.note.get("reason") or found.detail or run.get("reason"),
    }


def _schemas(store: Metastore, place: Place) -> Iterator[dict[str, Any]]:
    """How the stream's schema changed, as runs and watchers met it."""
    stream = place.dataset[1:-1] if place.dataset.startswith("(") and ")-[" not in place.dataset else place.dataset
    for name in dict.fromkeys((stream, stream.removeprefix("public."))):
        for one in reversed(stream_schemas.history(store, place.connection, name)):
            if one.changes:
                yield {
                    "at": _text(one.seen),
                    "what": "schema changed",
                    "connection": place.connection,
                    "dataset": place.dataset,
                    "pipeline": None,
                    "version": one.version,
                    "changes": one.changes,
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
