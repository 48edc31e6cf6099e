"""Threads, chats and the event log, with the noise that makes the log hard to read.

Noise as ODRAS writes it: a create that appears twice (endpoint and middleware), middleware rows whose project id is
`pending` or `unknown`, file deletes without a project, and project updates logged as project_created.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from odras_demo.seed.documents import asset_id, file_id
from odras_demo.seed.ontologies import ONTOLOGIES, graph_iri
from odras_demo.seed.organisation import PROJECTS, Project, project_id, user_id
from odras_demo.seed.recipe import BEGIN, Recipe, Rows, moment
from odras_demo.weaknesses import by_family

_EVENT_COLUMNS = (
    "event_id", "project_thread_id", "project_id", "user_id", "event_type", "event_data", "context_snapshot",
    "semantic_summary", "created_at",
)  # fmt: skip
# What is really emitted, in about the proportion of a working day.
_KINDS = (
    ("knowledge_searched",) * 5 + ("das_query", "das_response") * 3
    + ("ontology_modified", "ontology_saved", "file_uploaded", "knowledge_asset_created", "knowledge_asset_updated")
    + ("workflow_started", "file_deleted", "project_created", "ontology_created", "knowledge_asset_published")
)  # fmt: skip
_TOPICS = {
    "file": "file_id", "knowledge": "asset_id", "ontology": "graph_iri", "das": "query", "workflow": "process_key",
    "project": "name",
}  # fmt: skip
_WORKBENCH = {
    "file": "files", "knowledge": "knowledge", "ontology": "ontology", "das": "das", "workflow": "process",
    "project": "project",
}  # fmt: skip


def thread_id(recipe: Recipe, project: str) -> str:
    """A project's one thread."""
    return str(recipe.uid("thread", project))


def tables(recipe: Recipe) -> Iterator[Rows]:
    """One thread a project, its conversation and chat, and the log."""
    owner = str(user_id(recipe, "owner"))
    yield Rows(
        "project_thread",
        ("project_thread_id", "project_id", "created_by", "created_at", "last_activity", "goals", "current_workbench"),
        [(thread_id(recipe, p.key), str(project_id(recipe, p.key)), owner, BEGIN, moment(1, 1), p.purpose,
         "requirements")
         for p in PROJECTS],
    )  # fmt: skip
    yield Rows(
        "thread_conversation",
        ("conversation_id", "project_thread_id", "role", "content", "metadata", "created_at"),
        _conversation(recipe),
    )
    yield Rows(
        "chat_message", ("message_id", "session_id", "project_id", "role", "content", "created_at"), _chat(recipe)
    )
    yield Rows("project_event", _EVENT_COLUMNS, events(recipe))


def _exchange(number: int) -> tuple[str, str]:
    """A question and its answer; both sides take their words from the catalogue."""
    weakness = by_family()[number % len(by_family())]
    return f"What does {weakness.name} mean for us?", weakness.description


def _conversation(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    total = 60 * recipe.size
    for number in range(total):
        project = PROJECTS[number % len(PROJECTS)]
        for role, words in zip(("user", "assistant"), _exchange(number), strict=True):
            key = str(recipe.uid("conversation", f"{number}:{role}"))
            yield key, thread_id(recipe, project.key), role, words, "{}", moment(number, total)


def _chat(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    total = 60 * recipe.size
    for number in range(total):
        project, session = PROJECTS[number % len(PROJECTS)], str(recipe.uid("session", number // 10))
        for role, words in zip(("user", "assistant"), _exchange(number), strict=True):
            key = str(recipe.uid("chat", f"{number}:{role}"))
            yield key, session, str(project_id(recipe, project.key)), role, words, moment(number, total)


def events(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    """Exactly `recipe.events` rows."""
    written = number = 0
    while written < recipe.events:
        when = moment(written, recipe.events)
        for row in _occurrence(recipe, number, when):
            if written < recipe.events:
                yield row
                written += 1
        number += 1


def _occurrence(recipe: Recipe, number: int, when: datetime) -> Iterator[tuple[object, ...]]:
    """What one thing that happened leaves in the log: one row, or two when the middleware noticed it too."""
    kind = _KINDS[recipe.draw("event", number, len(_KINDS))]
    project = PROJECTS[recipe.draw("event_project", number, len(PROJECTS))]
    own = str(project_id(recipe, project.key))
    told = "unknown" if kind == "file_deleted" else own
    yield _event(recipe, number, kind, project, told, when, by="endpoint")
    if kind in {"file_uploaded", "knowledge_asset_created", "project_created"} and number % 3 == 0:
        seen = "pending" if number % 2 else "unknown"
        yield _event(recipe, number, kind, project, seen, when + timedelta(milliseconds=40), by="middleware")


def _event(
    recipe: Recipe, number: int, kind: str, project: Project, told: str, when: datetime, *, by: str
) -> tuple[object, ...]:
    subject = kind.split("_")[0]
    details = {_TOPICS[subject]: _thing(recipe, subject, number, project) if by == "endpoint" else "pending"}
    user = "das_service" if subject == "das" else ("owner", "editor", "viewer")[number % 3]
    summary = f"{kind.replace('_', ' ')} in {project.name}"
    data = {
        "summary": summary, "details": details, "context": {"workbench": _WORKBENCH[subject]},
        "endpoint": f"/api/{_WORKBENCH[subject]}", "method": "POST", "response_time": 5 + number % 400,
        "timestamp": when.isoformat(),
    }  # fmt: skip
    snapshot = {"username": user, "event_id": f"{kind}_{int(when.timestamp() * 1000)}"}
    return (
        str(recipe.uid("event", f"{number}:{by}")), thread_id(recipe, project.key), told, str(user_id(recipe, user)),
        kind,
        json.dumps(data), json.dumps(snapshot), summary, when,
    )  # fmt: skip


def _thing(recipe: Recipe, subject: str, number: int, project: Project) -> str:
    match subject:
        case "file":
            return str(file_id(recipe, number % recipe.files))
        case "knowledge":
            return str(asset_id(recipe, number % recipe.files))
        case "ontology":
            return graph_iri(recipe, ONTOLOGIES[number % len(ONTOLOGIES)])
        case "das":
            return _exchange(number)[0]
        case "workflow":
            return "document_ingestion"
        case _:
            return project.name
