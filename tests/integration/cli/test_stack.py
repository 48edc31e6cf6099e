"""`status`, `env`, `db upgrade`, `connections check` and `discover` against servers that run."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

    from data_workbench.servers import Stack


def of(stack: Stack) -> dict[str, str]:
    """The variables that name the test's stack."""
    settings = stack.settings
    return {
        "WORKBENCH_HOME": str(settings.home),
        "WORKBENCH_CACHE": settings.cache,
        "WORKBENCH_PORT_BASE": str(settings.port_base),
        "WORKBENCH_SLOW_CONNECTION_SECONDS": "600",
    }


def test_the_stack_tells_how_it_is_and_up_again_changes_nothing(shell: Shell, stack: Stack) -> None:
    told = shell("status", "--json", **of(stack))
    assert told.code == 0
    found = {one["name"]: one for one in told.document["services"]}
    assert found["postgres"]["state"] == "running"
    assert {"state", "port", "pid", "detail", "log"} <= set(found["neo4j"])
    again = shell("up", "postgres", "--json", **of(stack))
    assert again.code == 0
    pids = {one["name"]: one["pid"] for one in again.document["services"]}
    assert pids["postgres"] == found["postgres"]["pid"]
    assert "running" in shell("status", **of(stack)).out


def test_down_of_what_never_ran_is_no_mistake(shell: Shell) -> None:
    told = shell("down", "--json")
    assert told.code == 0
    assert {one["state"] for one in told.document["services"]} == {"stopped"}


def test_the_environment_can_be_evaluated_by_a_shell(shell: Shell, stack: Stack) -> None:
    told = shell("env", **of(stack))
    assert told.code == 0
    script = f'{told.out}\nprintf %s "$AIRFLOW_CONN_ODRAS_POSTGRES"'
    value = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    variables = shell("env", "--json", **of(stack)).document["environment"]
    assert json.loads(value) == json.loads(variables["AIRFLOW_CONN_ODRAS_POSTGRES"])


def test_upgrading_twice_is_safe(shell: Shell) -> None:
    first, second = (shell("db", "upgrade", "--json") for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    assert first.document == second.document
    assert first.document["revision"]


def test_a_metastore_that_was_never_upgraded_says_what_to_do(shell: Shell) -> None:
    shell.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    told = shell("runs", "--json")
    assert told.code == 1
    assert "workbench db upgrade" in told.document["error"]["hint"]


def test_the_local_stack_is_checked_and_discovered_without_any_variable(shell: Shell, stack: Stack) -> None:
    told = shell("connections", "check", "odras_postgres", "odras_neo4j", "odras_qdrant", "site", "--json", **of(stack))
    assert [row["state"] for row in told.document["connections"]] == ["healthy"] * 4
    assert told.code == 0
    assert all(row["version"] for row in told.document["connections"])
    streams = {one["name"]: one for one in shell("discover", "site", "public.let*", "--json").document["streams"]}
    assert list(streams) == ["public.letters"]
    assert streams["public.letters"]["key"] == ["id"]
    assert [one["name"] for one in streams["public.letters"]["columns"]] == ["id", "word"]
    secrets = [json.loads(value).get("password") for value in stack.environment().values()]
    assert not [one for one in secrets if one and one in told.out + told.err]
