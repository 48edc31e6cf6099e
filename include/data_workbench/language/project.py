"""The project file `workbench.yaml`: defaults of connections, in version control and therefore without secrets.

    version: 1
    connections:
      odras_postgres: {host: db.site.example, port: 5432, schema: odras, extra: {sslmode: require}}
      lab: {type: duckdb, host: data/lab.duckdb}
      odras_neo4j: {limit: 4}
    defaults: {owner: data-team, sources: {schema_policy: freeze}}
    environments:
      dev: {connections: {odras_postgres: {host: db.dev.site.example}}, pipelines: {schedule: null}}

`WORKBENCH_ENVIRONMENT` names the one whose connections go before the file's own, key by key; `defaults` is for all
pipelines, and what an environment says of `pipelines` goes before what they say.
What the environment or Airflow says of a connection wins key by key; the file fills what they leave out. An entry with
a `type` is a connection by itself. Secrets are refused here, by name and by the connector's own model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from data_workbench.connectors.connections import Connection, has_secret, is_secret_name
from data_workbench.connectors.registry import CONNECTORS, spec_of
from data_workbench.connectors.spec import keys_of
from data_workbench.errors import DefinitionError, Finding, UsageError
from data_workbench.language.spec import ProjectDefaults, ProjectOverride
from data_workbench.language.yaml_tree import Node, Unreadable, read_tree
from data_workbench.records.names import near_names
from data_workbench.settings import Settings

_TOP = ("version", "connections", "defaults", "environments")
_KEYS = ("type", "host", "port", "login", "schema", "extra", "limit")
_NUMBERS = ("port", "limit")
_MOST_SLOTS = 1000


@dataclass(frozen=True)
class Project:
    """What the file says; empty where there is none."""

    path: str
    connections: Mapping[str, Mapping[str, Any]]
    defaults: Node | None = field(default=None, compare=False, repr=False)
    """For all pipelines, as a tree with the file's places."""
    override: Node | None = field(default=None, compare=False, repr=False)
    """What the environment that is on says of all pipelines."""
    environments: tuple[str, ...] = field(default=(), compare=False)

    @property
    def limits(self) -> dict[str, int]:
        """How many stages may be at a connection's store at a time, where the file says so."""
        return {name: int(given["limit"]) for name, given in self.connections.items() if "limit" in given}

    @property
    def ids(self) -> set[str]:
        """Connections that the file makes by itself."""
        return {name for name, entry in self.connections.items() if "type" in entry}

    def complete(self, connection_id: str, found: Connection | None) -> Connection | None:
        """A connection with this file's defaults; None if neither it nor the file makes one.

        Raises:
            UsageError: the file and the connection name different types.
        """
        given = self.connections.get(connection_id)
        if given is None or (found is None and "type" not in given):
            return found
        if found is None:
            found = Connection(connection_id, str(given["type"]))
        elif "type" in given and given["type"] != found.kind:
            raise UsageError(
                f"connection {connection_id!r} is of type {found.kind!r}, {self.path} says {given['type']!r}",
                hint="name the same type in both, or leave it out of the file",
            )
        defaults = {"host": "host", "port": "port", "login": "login", "schema": "database"}
        fill = {ours: given[key] for key, ours in defaults.items() if key in given and getattr(found, ours) is None}
        return replace(found, **fill, extra={**given.get("extra", {}), **found.extra})


def load_project(settings: Settings) -> Project:
    """The project file of the settings.

    Raises:
        DefinitionError: it is broken, or holds a secret; every mistake with its place.
    """
    key = state_of(settings)
    if key is None:
        return Project(str(settings.project), {})
    return _load(key, settings.max_definition_bytes, settings.environment)


def state_of(settings: Settings) -> tuple[str, int, int] | None:
    """What tells one state of the project file from another; None if there is none."""
    try:
        facts = settings.project.stat()
    except OSError:
        return None
    return (str(settings.project), facts.st_mtime_ns, facts.st_size) if settings.project.is_file() else None


@lru_cache(maxsize=8)
def _load(key: tuple[str, int, int], most_bytes: int, environment: str) -> Project:
    """Cached by the file's time and size: every pipeline is read within it."""
    file = Path(key[0])
    if key[2] > most_bytes:
        raise DefinitionError([Finding(str(file), 1, 1, f"larger than {most_bytes} bytes")])
    try:
        tree, problems = read_tree(file.read_text(encoding="utf-8"), file=str(file))
    except (Unreadable, UnicodeDecodeError) as error:
        places = error.problems if isinstance(error, Unreadable) else ()
        found = [Finding(str(file), one.place.line, one.place.column, one.message, one.hint) for one in places]
        raise DefinitionError(found or [Finding(str(file), 1, 1, "the file is not UTF-8")]) from None
    checking = _Checking(str(file), tree)
    for problem in problems:
        checking.findings.append(
            Finding(str(file), problem.place.line, problem.place.column, problem.message, problem.hint)
        )
    connections = checking.connections(environment)
    checking.of_pipelines()
    if checking.findings:
        raise DefinitionError(sorted(checking.findings, key=lambda one: (one.line, one.column)))
    environments = tree.children.get("environments")
    return Project(
        str(file),
        connections,
        defaults=tree.children.get("defaults"),
        override=tree.find(("environments", environment, "pipelines")),
        environments=tuple(map(str, environments.children)) if environments else (),
    )


class _Checking:
    """Walks the file and collects mistakes; a value that may be a secret is never repeated."""

    def __init__(self, path: str, tree: Node) -> None:
        self.path, self.tree, self.findings = path, tree, list[Finding]()

    def say(self, path: tuple[str, ...], message: str, hint: str | None = None) -> None:
        place = self.tree.locate(path, key=True)
        self.findings.append(Finding(self.path, place.line, place.column, message, hint))

    def connections(self, environment: str) -> dict[str, dict[str, Any]]:
        """Those of the file as the environment has them; "" is none."""
        document = self.tree.plain()
        if not isinstance(document, dict):
            self.say((), "a project file is a mapping", "begin with `version: 1` and `connections:`")
            return {}
        for key in document:
            if key not in _TOP:
                self.say((key,), f"unknown key {key!r}", near_names(key, _TOP))
        if document.get("version") != 1:
            self.say((), "version is missing, or another than 1", "begin with `version: 1`")
        found = self._entries(("connections",), document.get("connections") or {})
        environments = document.get("environments") or {}
        if not isinstance(environments, dict):
            self.say(("environments",), "environments is a mapping of names")
            return found
        changed = {name: self._environment(name, one, found) for name, one in environments.items()}
        if environment and environment not in changed:
            hint = near_names(environment, changed)
            self.say(("environments",), f"there is no environment {environment!r} (WORKBENCH_ENVIRONMENT)", hint)
        return _overlaid(found, changed.get(environment, {}))

    def _environment(self, name: str, given: Any, base: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        if not isinstance(given, dict) or set(given) - {"connections", "pipelines"}:
            message = f"environment {name} holds `connections:`, `pipelines:` and nothing else"
            self.say(("environments", name), message)
            return {}
        entries = self._entries(("environments", name, "connections"), given.get("connections") or {})
        for connection, entry in entries.items():
            if connection not in base and "type" not in entry:
                message = f"environment {name} changes connection {connection!r}, which is not there"
                hint = f"{near_names(connection, base)}; one of its own needs a type"
                self.say(("environments", name, "connections", connection), message, hint)
        return entries

    def of_pipelines(self) -> None:
        """Check what is said of all pipelines, by the models of the language."""
        self._model(ProjectDefaults, ("defaults",))
        for name in getattr(self.tree.children.get("environments"), "children", {}):
            self._model(ProjectOverride, ("environments", str(name), "pipelines"))

    def _model(self, model: type[BaseModel], path: tuple[str, ...]) -> None:
        node = self.tree.find(path)
        if node is None:
            return
        try:
            model.model_validate(node.plain())
        except ValidationError as error:
            from data_workbench.language.wording import explain

            for word in explain(error, node, model):
                place = node.locate(word.path, key=word.at_key)
                message = f"{'.'.join(path)}: {word.message}"
                self.findings.append(Finding(self.path, place.line, place.column, message, word.hint))

    def _entries(self, top: tuple[str, ...], entries: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(entries, dict):
            self.say(top, "connections is a mapping of ids")
            return {}
        return {name: self._connection((*top, name), name, entry) for name, entry in entries.items()}

    def _connection(self, top: tuple[str, ...], name: str, entry: Any) -> dict[str, Any]:
        if not isinstance(entry, dict):
            self.say(top, f"{name}: a connection is a mapping", f"its keys are {', '.join(_KEYS)}")
            return {}
        for key, value in entry.items():
            if is_secret_name(key):
                self._secret((*top, key), f"{name}.{key}")
            elif key not in _KEYS:
                self.say((*top, key), f"{name}: unknown key {key!r}", near_names(key, _KEYS))
            elif key == "extra":
                self._extra(top, name, value, str(entry.get("type") or ""))
            elif isinstance(value, str) and "://" in value and _carries(value):
                self._secret((*top, key), f"{name}.{key}")
            elif not isinstance(value, int if key in _NUMBERS else str) or isinstance(value, bool):
                self.say((*top, key), f"{name}.{key} should be {'a number' if key in _NUMBERS else 'text'}")
            elif key == "limit" and not 1 <= int(value) <= _MOST_SLOTS:
                self.say((*top, key), f"{name}.limit is {value}; it is between 1 and {_MOST_SLOTS}")
        if entry.get("type") not in (None, *CONNECTORS):
            self.say(
                (*top, "type"), f"{name}: no connector serves this type", near_names(str(entry["type"]), CONNECTORS)
            )
        return entry

    def _extra(self, top: tuple[str, ...], name: str, extra: Any, kind: str) -> None:
        if not isinstance(extra, dict):
            self.say((*top, "extra"), f"{name}.extra is a mapping")
            return
        keys = {key.field: key for key in keys_of(spec_of(kind))} if kind in CONNECTORS else {}
        for key, value in extra.items():
            path = (*top, "extra", key)
            if is_secret_name(key) or (key in keys and keys[key].secret) or _holds_secret(value):
                self._secret(path, f"{name}.extra.{key}")

    def _secret(self, path: tuple[str, ...], what: str) -> None:
        hint = "give it by AIRFLOW_CONN_<ID>, or in Airflow's connection; the rest may stay here"
        self.say(path, f"{what} may hold a secret, and this file is for everybody", hint)


def _overlaid(base: Mapping[str, dict[str, Any]], changed: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Connections with those of an environment before them, key by key, `extra` too."""
    found = dict(base)
    for name, entry in changed.items():
        before = found.get(name, {})
        extra = {**before.get("extra", {}), **entry.get("extra", {})}
        found[name] = {**before, **entry, **({"extra": extra} if extra else {})}
    return found


def _carries(url: str) -> bool:
    try:
        return has_secret(url)
    except ValueError:
        return True


def _holds_secret(value: Any) -> bool:
    """Whether a secret's name, or a URL with one, stands anywhere inside."""
    if isinstance(value, dict):
        return any(is_secret_name(str(key)) or _holds_secret(inner) for key, inner in value.items())
    if isinstance(value, list):
        return any(_holds_secret(inner) for inner in value)
    return isinstance(value, str) and "://" in value and _carries(value)
