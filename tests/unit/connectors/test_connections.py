"""From an id to an address: both forms Airflow knows, the first resolver that answers, and no secret in words."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.connectors.connections import Connection, Connections, from_environment, from_url
from data_workbench.errors import ConnectionUnknown, UsageError

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)


def resolve(value: str, name: str = "site") -> Connection:
    found = from_environment(name, {f"AIRFLOW_CONN_{name.upper()}": value})
    assert found is not None
    return found


@given(NAMES, NAMES, NAMES, st.integers(1, 65535), st.dictionaries(NAMES, NAMES, max_size=2))
def test_json_and_uri_say_the_same(login: str, password: str, database: str, port: int, extra: dict[str, str]) -> None:
    values = {
        "conn_type": "postgres",
        "host": "db.example",
        "port": port,
        "login": login,
        "password": password,
        "schema": database,
        "extra": extra,
    }
    as_json = resolve(json.dumps(values))
    assert resolve(json.dumps({**values, "extra": json.dumps(extra)})) == as_json
    who = f"{quote(login, safe='')}:{quote(password, safe='')}"
    place = f"db.example:{port}/{quote(database.lstrip('/') or 'd', safe='')}"
    as_uri = resolve(f"postgresql://{who}@{place}?__extra__={quote(json.dumps(extra), safe='')}")
    assert (as_uri.kind, as_uri.host, as_uri.port) == ("postgres", "db.example", port)
    assert (as_uri.login, as_uri.secret, as_uri.extra) == (login, password, extra)
    assert (as_json.login, as_json.secret, as_json.database) == (login, password, database)


@pytest.mark.parametrize(
    ("uri", "kind", "extra"),
    [
        ("bolt://h:7687", "neo4j", {}),
        ("https://h:6333", "qdrant", {"https": True}),
        ("http://h:6333?prefer_grpc=true", "qdrant", {"prefer_grpc": "true"}),
        ("workbench-files://h", "workbench_files", {}),
        ("smtp://h", "smtp", {}),
    ],
)
def test_a_scheme_tells_the_kind(uri: str, kind: str, extra: dict[str, Any]) -> None:
    found = resolve(uri)
    assert (found.kind, found.extra) == (kind, extra)


@pytest.mark.parametrize(
    "value",
    [
        '{"conn_type": "postgres", "password": "hunter2"',
        '{"password": "hunter2"}',
        '{"conn_type": "postgres", "port": "hunter2"}',
        '{"conn_type": "postgres", "extra": "{hunter2"}',
        "postgres://u:hunter2@host:port/x",
        "hunter2",
        "postgres://u:hunter2@[bad/x",
    ],
)
def test_a_value_that_cannot_be_read_is_never_repeated(value: str) -> None:
    with pytest.raises(ConnectionUnknown, match="AIRFLOW_CONN_SITE is neither") as caught:
        resolve(value)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_nothing_shows_a_password() -> None:
    found = resolve(
        '{"conn_type": "qdrant", "host": "h", "port": 1, "password": "hunter2", "extra": {"api_key": "hunter2"}}'
    )
    assert "hunter2" not in f"{found!r} {found} {found.address}"
    assert found.secret == "hunter2"
    assert found.address == "h:1"


def test_the_first_resolver_that_knows_an_id_wins() -> None:
    asked: list[str] = []

    def nobody(name: str) -> Connection | None:
        asked.append(name)
        return None

    one = Connection("x", "postgres", host="first")
    chain = Connections(nobody, {"x": one}.get, {"x": Connection("x", "postgres", host="second"), "y": one}.get)
    assert chain.get("x") is one
    assert chain.get("y") is one
    with pytest.raises(ConnectionUnknown, match="no connection 'z'") as caught:
        chain.get("z")
    assert "AIRFLOW_CONN_Z" in str(caught.value.hint)
    assert asked == ["x", "y", "z"]
    assert chain.get("file:///data").kind == "workbench_files"
    assert asked == ["x", "y", "z"]


def test_an_empty_variable_is_none() -> None:
    assert from_environment("x", {"AIRFLOW_CONN_X": ""}) is None
    assert from_environment("x", {}) is None


@pytest.mark.parametrize(
    "url",
    [
        "postgres://me:hunter2@h/db",
        "postgres://:hunter2@h/db",
        "http://h?api_key=hunter2",
        "http://h?Token=hunter2",
        "file:///x?password=hunter2",
        "http://[hunter2",
        "http://h:hunter2",
    ],
)
def test_a_url_in_a_file_is_refused_with_a_secret_or_unreadable(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_url(url)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_url_without_a_secret_is_a_connection() -> None:
    assert from_url("file:///a/b").host == "file:///a/b"
    found = from_url("http://localhost:6333?timeout=3")
    assert (found.kind, found.port, found.extra) == ("qdrant", 6333, {"timeout": "3"})


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("https://ada:canary@api.example/v1", "https://api.example/v1"),
        ("https://ada:can/ary@api.example/v1?key=canary", "https://api.example/v1"),
        ("abfs://container@account.example/folder", "abfs://container@account.example/folder"),
        ("db.example", "db.example"),
    ],
)
def test_an_address_for_messages_holds_no_secret(host: str, shown: str) -> None:
    assert Connection(id="it", kind="x", host=host).address == shown
