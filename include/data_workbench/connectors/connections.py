"""From a connection id to an address and secrets.

A pipeline names a connection by id, or, for files and for trying things out, by a URL without a password
(`file:///folder`). Ids are resolved by a chain of resolvers injected from above; the one here reads `AIRFLOW_CONN_<ID>`
from the environment in both forms Airflow knows (JSON and URI). The provider room adds Airflow's own lookup.
Format: https://airflow.apache.org/docs/apache-airflow/stable/howto/connection.html
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from data_workbench.errors import ConnectionUnknown, UsageError

FILE_SCHEMES = ("file", "s3", "gs", "abfs", "sftp")
"""URLs that are roots of files. One of http may be another server's: a web server's files need a connection."""

_VARIABLE = "AIRFLOW_CONN_"

Resolver = Callable[[str], "Connection | None"]
"""Gives the connection of an id, or None if it does not know it."""


@dataclass(frozen=True)
class Connection:
    """An address with secrets; `kind` is Airflow's type (`postgres`, `neo4j`, `qdrant`, `workbench_files`)."""

    id: str
    kind: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: SecretStr | None = None
    database: str | None = None
    """Airflow calls it `schema`."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """May hold secrets too: it is never shown."""

    @property
    def secret(self) -> str | None:
        """The password in clear; only for handing to a driver."""
        return self.password.get_secret_value() if self.password else None

    @property
    def address(self) -> str:
        """Host, port and database for messages; no login, no password."""
        port = f":{self.port}" if self.port else ""
        tail = f"/{self.database}" if self.database else ""
        return f"{_shown(self.host or 'localhost')}{port}{tail}"


def _shown(host: str) -> str:
    """A host for messages: of a URL neither who asks nor a query, even where they have no business to be."""
    scheme, mark, rest = host.partition("://")
    if not mark:
        return host
    rest = rest.partition("?")[0]
    before, _, after = rest.rpartition("@")  # a password may hold any mark, so the last @ counts
    return f"{scheme}://{after if ':' in before else rest}"


def from_environment(connection_id: str, environ: Mapping[str, str] | None = None) -> Connection | None:
    """The resolver over `AIRFLOW_CONN_<ID>`.

    Raises:
        ConnectionUnknown: the variable is set, but is neither JSON nor a URI.
    """
    source = os.environ if environ is None else environ
    name = f"{_VARIABLE}{connection_id.upper()}"
    raw = source.get(name)
    if not raw:
        return None
    try:
        return _from_json(connection_id, raw) if raw.lstrip().startswith("{") else _from_uri(connection_id, raw)
    except (ValueError, TypeError, KeyError) as error:
        # The value holds a password: the message names the variable, never the value or the parser's excerpt.
        raise ConnectionUnknown(
            f"{name} is neither connection JSON nor a URI ({type(error).__name__})",
            hint='write it as {"conn_type": "postgres", "host": …, "port": …, "login": …, "password": …, "schema": …}',
        ) from None


def ids_of_environment(environ: Mapping[str, str] | None = None) -> set[str]:
    """Ids that `AIRFLOW_CONN_<ID>` are set for."""
    names = os.environ if environ is None else environ
    return {name.removeprefix(_VARIABLE).lower() for name in names if name.startswith(_VARIABLE)}


def _from_json(connection_id: str, raw: str) -> Connection:
    values = json.loads(raw)
    extra = values.get("extra") or {}
    return Connection(
        id=connection_id,
        kind=values["conn_type"],
        host=values.get("host") or None,
        port=int(values["port"]) if values.get("port") else None,
        login=values.get("login") or None,
        password=SecretStr(values["password"]) if values.get("password") else None,
        database=values.get("schema") or None,
        extra=json.loads(extra) if isinstance(extra, str) else extra,
    )


def _from_uri(connection_id: str, raw: str) -> Connection:
    parts = urlsplit(raw)
    if not parts.scheme:
        raise ValueError("no scheme")
    kind = {
        "postgresql": "postgres",
        "bolt": "neo4j",
        "http": "qdrant",
        "https": "qdrant",
        **dict.fromkeys(FILE_SCHEMES, "workbench_files"),
    }.get(parts.scheme, parts.scheme)
    extra: dict[str, Any] = dict(parse_qsl(parts.query))
    if "__extra__" in extra:
        extra = json.loads(extra["__extra__"])
    if parts.scheme == "https":
        extra.setdefault("https", True)
    if parts.scheme in ("sqlite", "duckdb"):  # as everywhere: four slashes are an absolute path, three a relative one
        return Connection(id=connection_id, kind=kind, host=unquote(parts.path[1:]), extra=extra)
    if parts.scheme in FILE_SCHEMES:
        return _files(connection_id, raw, extra)
    return Connection(
        id=connection_id,
        kind=kind.replace("-", "_"),
        host=unquote(parts.hostname) if parts.hostname else None,
        port=parts.port,
        login=unquote(parts.username) if parts.username else None,
        password=SecretStr(unquote(parts.password)) if parts.password else None,
        database=unquote(parts.path.lstrip("/")) or None,
        extra=extra,
    )


def _files(connection_id: str, raw: str, extra: dict[str, Any]) -> Connection:
    """A root of files: the URL itself, but for login and password, which a root does not carry."""
    if raw.startswith("file:"):
        return Connection(id=connection_id, kind="workbench_files", host=raw)
    parts = urlsplit(raw)
    place = parts.netloc.rpartition("@")[2] if parts.scheme != "abfs" or parts.password else parts.netloc
    return Connection(
        id=connection_id,
        kind="workbench_files",
        host=f"{parts.scheme}://{place}{parts.path}",
        login=unquote(parts.username) if parts.username and place != parts.netloc else None,
        password=SecretStr(unquote(parts.password)) if parts.password else None,
        extra=extra,
    )


_SECRET = re.compile(r"pass|pwd|secret|token|api_?key|credential|signature", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a key is named as secrets are."""
    return _SECRET.search(name) is not None


def has_secret(url: str) -> bool:
    """Whether a URL carries a password, or a parameter that is named like one. Raises ValueError if it is no URL."""
    parts = urlsplit(url)
    return parts.password is not None or any(_SECRET.search(name) for name, _ in parse_qsl(parts.query))


def from_url(url: str) -> Connection:
    """A connection given in the pipeline file itself.

    Raises:
        UsageError: it carries a password, or is no URL.
    """
    hint = "define a connection (AIRFLOW_CONN_<ID>, or in Airflow) and name its id"
    scheme = url.partition("://")[0]
    try:
        if has_secret(url):
            host = urlsplit(url).hostname
            raise UsageError(f"a URL with a password stands in a pipeline file ({scheme}://…@{host})", hint=hint)
        if scheme in FILE_SCHEMES:
            return Connection(id=url, kind="workbench_files", host=url)
        if scheme == "reqif":
            return Connection(id=url, kind="workbench_reqif", host=f"file://{url.removeprefix('reqif://')}")
        if scheme == "singer":  # a file of messages, or `singer://-` for standard input
            place = url.removeprefix("singer://")
            return Connection(id=url, kind="workbench_singer", host=place if place == "-" else f"file://{place}")
        return _from_uri(url, url)
    except ValueError as error:
        # What does not parse may hold a password anywhere: it is not repeated.
        raise UsageError(
            f"the {scheme!r} URL given as a connection cannot be read ({type(error).__name__})", hint=hint
        ) from None


class Connections:
    """Resolves ids through a chain of resolvers; the first that knows an id wins.

    `complete` adds a project's defaults to what was found, or makes a connection of them where nothing was; `listed`
    names those that can be told without being asked for, as a secrets backend's cannot.
    """

    def __init__(
        self,
        *resolvers: Resolver,
        complete: Callable[[str, Connection | None], Connection | None] | None = None,
        listed: Callable[[], Iterable[str]] = ids_of_environment,
    ) -> None:
        self._resolvers = resolvers or (from_environment,)
        self._complete = complete
        self._listed = listed

    def ids(self) -> list[str]:
        """Ids of connections that are known to be set, in alphabetical order; there may be others."""
        return sorted(one for one in set(self._listed()) if "://" not in one)

    def get(self, connection_id: str) -> Connection:
        """The connection of an id or URL.

        Raises:
            ConnectionUnknown: no resolver knows the id.
        """
        if "://" in connection_id:
            return from_url(connection_id)
        found = next((one for resolver in self._resolvers if (one := resolver(connection_id)) is not None), None)
        if self._complete is not None:
            found = self._complete(connection_id, found)
        if found is not None:
            return found
        raise ConnectionUnknown(
            f"no connection {connection_id!r}",
            hint=f"set AIRFLOW_CONN_{connection_id.upper()}, or add it under Admin > Connections in Airflow",
        )
