"""The project file: it fills what connections leave out, names mistakes by place, and holds no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_workbench.connectors.connections import Connection, Connections
from data_workbench.errors import ConnectionUnknown, DefinitionError, UsageError
from data_workbench.language.project import Project, load_project
from data_workbench.settings import Settings

EXAMPLE = Path(__file__).resolve().parents[2] / "fixtures" / "pipelines" / "project" / "workbench.yaml"


def loaded(path: Path, text: str) -> Project:
    file = path / "workbench.yaml"
    file.write_text(f"version: 1\nconnections:\n  site: {text}\n", encoding="utf-8")
    return load_project(Settings(project=file))


def test_the_file_fills_what_a_connection_leaves_out() -> None:
    project = load_project(Settings(project=EXAMPLE))
    partly = Connection("odras_postgres", "postgres", host="elsewhere", extra={"connect_timeout": 3})
    connections = Connections(lambda name: partly if name == "odras_postgres" else None, complete=project.complete)
    found = connections.get("odras_postgres")
    assert (found.host, found.port, found.database) == ("elsewhere", 5432, "odras")
    assert found.extra == {"sslmode": "require", "connect_timeout": 3}
    lab = connections.get("lab")
    assert (lab.kind, lab.host) == ("duckdb", "data/lab.duckdb")
    with pytest.raises(ConnectionUnknown):
        connections.get("nobody")


def test_an_environment_goes_before_the_file_key_by_key() -> None:
    project = load_project(Settings(project=EXAMPLE, environment="dev"))
    found = Connections(lambda name: Connection(name, "postgres"), complete=project.complete).get("odras_postgres")
    assert (found.host, found.port, found.extra) == ("db.dev.site.example", 5432, {"sslmode": "disable"})
    assert load_project(Settings(project=EXAMPLE, environment="prod")) == load_project(Settings(project=EXAMPLE))


@pytest.mark.parametrize(
    ("environment", "text", "said"),
    [
        ("test", "{dev: {connections: {}}}", "there is no environment 'test'"),
        ("", "{dev: {connections: {site: {password: s3cr3t}}}}", "may hold a secret"),
        ("", "{dev: {connections: {site: {hots: x}}}}", "site: unknown key 'hots'"),
        ("", "{dev: {pipeline: {}}}", "environment dev holds `connections:`, `pipelines:` and nothing else"),
        ("", "{dev: {pipelines: {cron: x}}}", "environments.dev.pipelines: unknown key 'cron'"),
        ("", "[dev]", "environments is a mapping of names"),
    ],
)
def test_mistakes_in_environments_are_told(tmp_path: Path, environment: str, text: str, said: str) -> None:
    file = tmp_path / "workbench.yaml"
    file.write_text(f"version: 1\nenvironments: {text}\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match=said) as caught:
        load_project(Settings(project=file, environment=environment))
    assert caught.value.findings[0].line == 2
    assert "s3cr3t" not in str(caught.value)


def test_an_entry_without_a_type_makes_no_connection() -> None:
    with pytest.raises(ConnectionUnknown):
        Connections(lambda _: None, complete=load_project(Settings(project=EXAMPLE)).complete).get("odras_postgres")


def test_two_types_for_one_connection_are_refused(tmp_path: Path) -> None:
    project = loaded(tmp_path, "{type: duckdb}")
    with pytest.raises(UsageError, match="is of type 'mysql'"):
        project.complete("site", Connection("site", "mysql"))


def test_no_file_is_no_project(tmp_path: Path) -> None:
    assert load_project(Settings(project=tmp_path / "workbench.yaml")).connections == {}


@pytest.mark.parametrize(
    "text",
    [
        "{type: mysql, password: canary}",
        "{type: qdrant, extra: {api_key: canary}}",
        "{type: qdrant, host: 'https://ada:canary@vectors'}",
        "{type: workbench_files, extra: {storage_options: {secret: canary}}}",
        "{type: workbench_files, extra: {storage_options: {endpoint: 'https://x?token=canary'}}}",
        "{extra: {access_token: canary}}",
    ],
)
def test_a_secret_is_refused_with_its_place_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        loaded(tmp_path, text)
    assert "workbench.yaml:3:" in caught.value.message
    assert "may hold a secret" in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{hots: x}", "unknown key 'hots'"),
        ("{type: dukcdb}", "no connector serves this type (did you mean duckdb?)"),
        ("{port: many}", "site.port should be a number"),
        ("{host: 5}", "site.host should be text"),
        ("text", "a connection is a mapping"),
        ("{extra: 5}", "site.extra is a mapping"),
    ],
)
def test_a_mistake_is_named_by_key_and_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        loaded(tmp_path, text)
    assert said in caught.value.message
    assert "workbench.yaml:3:" in caught.value.message
