"""A small client of Airflow's REST API: what the demo, the tests and other workbenches need to run a pipeline.

Airflow answers a run id that was used before with 409, so `dag_run_id` is an idempotency key: asked twice, run once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import httpx

from data_workbench.errors import AccessDenied, FatalError, StoreUnavailable, UsageError

ENDED = frozenset({"success", "failed"})
Progress = Callable[[str, Mapping[str, str]], None]
"""Told a DAG run's state and its tasks' states whenever one of them changes."""


@dataclass(frozen=True)
class DagRun:
    """A DAG run as it stands."""

    dag_id: str
    run_id: str
    state: str
    seconds: float | None


class AirflowClient:
    """Talks to one Airflow as one user; the token is asked for on first use and again when it has aged."""

    def __init__(self, url: str, user: str, password: str, *, timeout: float = 90.0) -> None:
        self._user, self._password = user, password
        # A proxy named in the environment has no way to this machine's loopback.
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    # ------------------------------------------------------------------------------------------------ what is done

    def wait_for_dag(self, dag_id: str, *, timeout: float = 120.0) -> dict[str, Any]:
        """Wait until the DAG processor has read a DAG.

        Raises:
            StoreUnavailable: it did not in time; the message has Airflow's import errors.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = self._ask("GET", f"/api/v2/dags/{quote(dag_id)}", missing_ok=True)
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"Airflow does not know {dag_id} after {timeout:.0f} s{self._import_errors()}",
                    hint="is its file in the DAG folder, and does `workbench lint` find nothing?",
                )
            time.sleep(0.5)

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run; DAGs begin paused."""
        self._ask("PATCH", f"/api/v2/dags/{quote(dag_id)}", json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Keep a DAG from starting runs."""
        self._ask("PATCH", f"/api/v2/dags/{quote(dag_id)}", json={"is_paused": True})

    def trigger(self, dag_id: str, *, conf: Mapping[str, Any] | None = None, dag_run_id: str | None = None) -> DagRun:
        """Start a DAG run; one of this id that is there already is returned as it is.

        Raises:
            UsageError: Airflow refuses the conf.
        """
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if dag_run_id is not None:
            body["dag_run_id"] = dag_run_id
        answer = self._send("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", json=body)
        if answer.status_code == 409 and dag_run_id is not None:
            return self.dag_run(dag_id, dag_run_id)
        return _dag_run(self._checked(answer))

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """A DAG run as it stands."""
        return _dag_run(self._ask("GET", _run_path(dag_id, run_id)) or {})

    def wait(self, dag_id: str, run_id: str, *, timeout: float = 3600.0, progress: Progress | None = None) -> DagRun:
        """Wait until a DAG run has ended.

        Raises:
            StoreUnavailable: it did not in time.
        """
        deadline = time.monotonic() + timeout
        told: tuple[str, dict[str, str]] | None = None
        while True:
            run = self.dag_run(dag_id, run_id)
            if progress is not None and (seen := (run.state, self.task_states(dag_id, run_id))) != told:
                told = seen
                progress(*seen)
            if run.state in ENDED:
                return run
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"{dag_id} {run_id} is still {run.state} after {timeout:.0f} s")
            time.sleep(0.5)

    # ----------------------------------------------------------------------------------------------- what is asked

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """State by task, `task[3]` for a mapped one; a task that was not scheduled yet is `waiting`."""
        found = self._ask("GET", f"{_run_path(dag_id, run_id)}/taskInstances", params={"limit": 100}) or {}
        return {
            task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): task["state"] or "waiting"
            for task in found.get("task_instances", [])
        }

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned, or None."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/return_value"
        found = self._ask("GET", path, params={"deserialize": "true"}, missing_ok=True)
        return found["value"] if found else None

    def failures(self, dag_id: str, run_id: str, *, lines: int = 15) -> dict[str, str]:
        """The end of the log of each task that failed."""
        states = self.task_states(dag_id, run_id)
        return {
            task: self.log_tail(dag_id, run_id, task, lines=lines)
            for task, state in states.items()
            if state == "failed"
        }

    def log_tail(self, dag_id: str, run_id: str, task: str, *, lines: int = 15) -> str:
        """The last lines of a task's latest log."""
        task_id, _, index = task.partition("[")
        base = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}"
        params: dict[str, Any] = {"map_index": int(index.rstrip("]"))} if index else {}
        tries = self._ask("GET", f"{base}/{params['map_index']}" if index else base) or {}
        answer = self._ask(
            "GET", f"{base}/logs/{tries.get('try_number') or 1}", params={**params, "full_content": True}
        )
        said = [_log_line(line) for line in (answer or {}).get("content") or []]
        return "\n".join([line for line in said if line][-lines:])

    def health(self) -> dict[str, Any]:
        """Each component's state."""
        return self._ask("GET", "/api/v2/monitor/health") or {}

    def _import_errors(self) -> str:
        found = self._ask("GET", "/api/v2/importErrors") or {}
        told = [f"{one['filename']}: {one['stack_trace'][-500:]}" for one in found.get("import_errors", [])]
        return "; import errors:\n" + "\n".join(told) if told else ""

    # -------------------------------------------------------------------------------------------------------- HTTP

    def _ask(self, method: str, path: str, *, missing_ok: bool = False, **options: Any) -> dict[str, Any] | None:
        answer = self._send(method, path, **options)
        if missing_ok and answer.status_code == 404:
            return None
        return self._checked(answer)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            if "Authorization" not in self._http.headers:
                self._log_in()
            answer = self._http.request(method, path, **options)
            if answer.status_code == 401:
                self._log_in()
                answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise StoreUnavailable(
                f"Airflow at {self._http.base_url} does not answer: {error}", hint="is it up? `workbench status`"
            ) from error
        return answer

    def _log_in(self) -> None:
        answer = self._http.post("/auth/token", json={"username": self._user, "password": self._password})
        if answer.status_code in (401, 403):
            raise AccessDenied(
                f"Airflow at {self._http.base_url} refuses user {self._user!r}", hint="check the password"
            )
        self._http.headers["Authorization"] = f"Bearer {self._checked(answer)['access_token']}"

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_success:
            return dict(answer.json()) if answer.content else {}
        detail = f"HTTP {answer.status_code} for {answer.request.method} {answer.request.url.path}: {answer.text[:500]}"
        if answer.status_code in (400, 409, 422):
            raise UsageError(f"Airflow refuses the request: {detail}", hint="see the DAG's form for what it takes")
        if answer.status_code in (401, 403):
            raise AccessDenied(f"Airflow refuses user {self._user!r}: {detail}")
        if answer.status_code >= 500:
            raise StoreUnavailable(f"Airflow could not answer: {detail}")
        raise FatalError(f"Airflow: {detail}")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _dag_run(found: Mapping[str, Any]) -> DagRun:
    return DagRun(found["dag_id"], found["dag_run_id"], found["state"], found.get("duration"))


def _log_line(line: Any) -> str:
    """The message of a structured log line, with the error it carries."""
    if not isinstance(line, Mapping):
        return str(line).rstrip()
    told = [f"{error.get('exc_type')}: {error.get('exc_value')}" for error in line.get("error_detail") or []]
    return "\n".join([str(line.get("event") or "").rstrip(), *told])
