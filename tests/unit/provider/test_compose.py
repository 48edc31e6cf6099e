"""docker-compose.yaml against the compose schema, and against what else the repository says."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from data_workbench.connectors.connections import from_environment
from data_workbench.language.definition import load_definition
from data_workbench.language.rule_files import is_pipeline_file
from data_workbench.settings import PORT_OFFSETS, Settings

REPOSITORY = Path(__file__).resolve().parents[3]
TEXT = (REPOSITORY / "docker-compose.yaml").read_text()
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z0-9_]+)(:[-?][^}]*)?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(TEXT)
    return found


def _example() -> dict[str, str]:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_it_fits_the_compose_schema(compose: dict[str, Any]) -> None:
    vendored = pytest.importorskip("check_jsonschema", reason="it carries the compose specification's schema")
    from jsonschema.validators import validator_for

    schema = json.loads(resources.files(vendored).joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    problems = [
        f"{'/'.join(map(str, error.path))}: {error.message}"
        for error in validator_for(schema)(schema).iter_errors(compose)
    ]
    assert not problems


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        image, _, tag = service["image"].rpartition(":")
        assert image, name
        assert re.search(r"\d+\.\d+", tag), f"{name}: {service['image']}"
    base = re.search(r"^FROM (\S+)$", (REPOSITORY / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    assert base
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base[1])


def test_services_that_stay_up_tell_their_health(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if service.get("restart") != "no":
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name


def test_what_is_waited_for_can_be_waited_for(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, wanted in service.get("depends_on", {}).items():
            target = services[other]
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in target, (name, other)
            else:
                assert wanted["condition"] == "service_completed_successfully", (name, other)
                assert target["restart"] == "no", (name, other)


def test_all_airflow_components_are_there(compose: dict[str, Any]) -> None:
    commands = {tuple(service["command"][:3]) for name, service in compose["services"].items() if "airflow-" in name}
    for words in (
        ("airflow", "scheduler"),
        ("airflow", "dag-processor"),
        ("airflow", "triggerer"),
        ("airflow", "celery", "worker"),
    ):
        assert words in commands
    environment = compose["services"]["airflow-worker"]["environment"]
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert environment["AIRFLOW__CORE__AUTH_MANAGER"].endswith("FabAuthManager")
    volumes = compose["services"]["airflow-worker"]["volumes"]
    assert "artifacts:/opt/artifacts" in volumes


def test_ports_are_on_loopback_and_none_is_odras_camunda(compose: dict[str, Any]) -> None:
    example = _example()
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    numbers = []
    for port in published:
        host, variable, default = re.fullmatch(r"([\d.]+):\$\{([A-Z0-9_]+):-(\d+)\}:\d+", port).groups()  # type: ignore[union-attr]
        assert host == "127.0.0.1"
        assert example[variable] == default
        numbers.append(int(default))
    settings = Settings()
    assert sorted(numbers) == sorted(
        settings.port(name)
        for name in PORT_OFFSETS
        if name in ("postgres", "neo4j_bolt", "neo4j_http", "qdrant", "fuseki", "airflow")
    )
    assert 8080 not in numbers


def test_every_variable_is_in_the_example_and_every_secret_is_asked_for() -> None:
    used = {match[1]: match[2] or "" for match in VARIABLE.finditer(TEXT)}
    example = _example()
    assert set(used) == set(example)
    for name, value in example.items():
        if not value:
            assert used[name].startswith(":?"), f"{name} has no value in .env.example, so it must be asked for"


def test_connections_of_the_shipped_pipelines_are_defined(compose: dict[str, Any]) -> None:
    environment = compose["services"]["airflow-worker"]["environment"]
    wanted = {Settings().metastore}
    for path in filter(is_pipeline_file, (REPOSITORY / "dags" / "pipelines").glob("*")):
        spec = load_definition(path).spec
        wanted |= {item.connection for item in [*spec.sources.values(), *spec.destinations.values()]}
    for name in {*wanted, "odras_fuseki"}:
        raw = VARIABLE.sub("secret", environment[f"AIRFLOW_CONN_{name.upper()}"])
        found = from_environment(name, {f"AIRFLOW_CONN_{name.upper()}": raw})
        assert found is not None
        assert found.kind in ("postgres", "neo4j", "qdrant", "workbench_files", "workbench_rdf")
        if found.kind != "workbench_files":
            assert found.host in compose["services"]


def test_the_image_installs_what_requirements_say() -> None:
    dockerfile = (REPOSITORY / "docker" / "Dockerfile").read_text()
    requirements = (REPOSITORY / "requirements.txt").read_text()
    assert "requirements.txt" in dockerfile
    # Airflow comes from requirements.txt alone: a second version in the image would win in silence.
    assert "apache/airflow" not in dockerfile
    assert re.search(r"^apache-airflow==3\.\d+\.\d+$", requirements, re.MULTILINE)
    for provider in ("celery", "fab"):
        assert f"apache-airflow-providers-{provider}==" in requirements
    makefile = (REPOSITORY / "Makefile").read_text()
    pinned = re.search(r"UV_VERSION := (\S+)", makefile)
    assert pinned
    assert f"uv=={pinned[1]}" in dockerfile
