"""Airflow on this machine: one more service of the local stack, on the same PostgreSQL.

For trying and testing: SimpleAuthManager with one user, LocalExecutor sized for two cores, everything on 127.0.0.1.
A site runs its own Airflow, or `docker-compose.yaml`. Configuration goes to the processes as environment variables,
secrets are kept in `<home>/airflow/secrets.json`, readable by their owner only.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from data_workbench.errors import FatalError, StoreUnavailable
from data_workbench.servers import Service, connection_environment, http_trouble, load_credentials, postgres_dsn
from data_workbench.servers.service import Say
from data_workbench.settings import Settings

HOST = "127.0.0.1"
USER = "admin"
# No log servers: they would listen on all interfaces, and here the API server reads the same files.
COMPONENTS = ("api-server", "scheduler --skip-serve-logs", "dag-processor", "triggerer --skip-serve-logs")
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Access(NamedTuple):
    """Where the local Airflow is and who may enter; the password is shown to the demo's user only."""

    url: str
    user: str
    password: str


def airflow_service(settings: Settings) -> Service:
    """The service `airflow` for `Stack(settings, extra=[…])`."""
    return AirflowService(settings)


def airflow_credentials(settings: Settings) -> Access:
    """URL, user and password of the local Airflow."""
    return Access(f"http://{HOST}:{settings.port('airflow')}", USER, load_credentials(settings).airflow)


class AirflowService(Service):
    """API server, scheduler, DAG processor and triggerer under one supervisor."""

    name = "airflow"
    ports = ("airflow",)
    requires = ("postgres",)
    start_timeout = 600.0
    stop_timeout = 40.0

    def prepare(self, say: Say) -> None:
        """Write the password file, migrate the database when it is not at this Airflow's revision."""
        super().prepare(say)
        dags = self.settings.pipelines.absolute().parent
        if not dags.is_dir():
            raise FatalError(
                f"no folder {dags} with DAG files", hint="run in the repository, or set WORKBENCH_PIPELINES"
            )
        _write_private(self.home / "passwords.json", {USER: load_credentials(self.settings).airflow})
        (self.settings.home.absolute() / "files").mkdir(parents=True, exist_ok=True)
        self._migrate(say)

    def command(self) -> list[str]:
        """The supervisor over the components."""
        serve = f"{COMPONENTS[0]} --host {HOST} --port {self.port} --workers 1"
        return [sys.executable, "-m", "data_workbench.provider.supervisor", serve, *COMPONENTS[1:]]

    def environment(self) -> Mapping[str, str]:
        """Airflow's configuration, our settings, and the connections of the local stores."""
        ours = settings_environment(self.settings)
        return {**connection_environment(self.settings), **ours, **airflow_environment(self.settings), **_QUIET}

    def trouble(self) -> str | None:
        """Ask Airflow how its components are."""
        url = f"http://{HOST}:{self.port}/api/v2/monitor/health"
        trouble = http_trouble(url)
        if trouble is not None:
            return trouble
        with _direct.open(url, timeout=5) as answer:
            health: dict[str, dict[str, Any]] = json.load(answer)
        ill = [name for name in ("metadatabase", "scheduler", "dag_processor") if health[name]["status"] != "healthy"]
        return f"{', '.join(ill)} not up yet" if ill else None

    def after_start(self, say: Say) -> None:
        """Call the API of the tasks once: it builds itself on the first call, and a task would have to wait."""
        say("warming up")
        try:
            with _direct.open(f"http://{HOST}:{self.port}/execution/health", timeout=60) as answer:
                answer.read()
        except OSError:
            # Only speed is lost: health was good a moment ago.
            return

    def detail(self) -> str:
        """The address of the UI."""
        return f"http://{HOST}:{self.port} (user {USER})"

    def _migrate(self, say: Say) -> None:
        """`airflow db migrate` takes seconds even when there is nothing to do, so what was done is noted."""
        note = self.home / "migrated.json"
        wanted = {"airflow": version("apache-airflow-core"), "revision": self._revision()}
        if wanted["revision"] and note.exists() and json.loads(note.read_text()) == wanted:
            return
        say("migrating Airflow's database")
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env={**os.environ, **self.environment()},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
            raise FatalError(f"Airflow's database could not be migrated:\n{said}", hint=f"see {self.log}")
        _write_private(note, {**wanted, "revision": self._revision()})

    def _revision(self) -> str | None:
        import psycopg

        try:
            connection = psycopg.connect(postgres_dsn(self.settings, "airflow"), connect_timeout=5)
        except psycopg.OperationalError:
            # The driver's own words may repeat the connection string.
            raise StoreUnavailable(
                f"PostgreSQL on port {self.settings.port('postgres')}, which holds Airflow's database, does not answer",
                hint="start it first: workbench up postgres",
            ) from None
        with connection:
            found = connection.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL").fetchone()
            if not found or not found[0]:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def settings_environment(settings: Settings) -> dict[str, str]:
    """`WORKBENCH_*` variables that give a child the same settings, whatever its working directory."""
    home = settings.home.absolute()
    values = {item.name: getattr(settings, item.name) for item in fields(Settings)}
    values |= {"home": home, "cache": settings.cache_folder, "pipelines": settings.pipelines.absolute()}
    values["artifacts"] = settings.artifacts or str(home / "artifacts")
    # Under Airflow files are reached below the listed folders only.
    values["file_roots"] = settings.file_roots or str(home / "files")
    return {f"WORKBENCH_{name.upper()}": str(value) for name, value in values.items()}


def airflow_environment(settings: Settings) -> dict[str, str]:
    """`AIRFLOW__SECTION__OPTION` variables, secrets included."""
    home = settings.home.absolute() / "airflow"
    dags = settings.pipelines.absolute().parent
    url = f"http://{HOST}:{settings.port('airflow')}"
    dsn = postgres_dsn(settings, "airflow")
    secret = _load_secrets(home / "secrets.json")
    bundle = {"name": "workbench", "classpath": _LOCAL_BUNDLE, "kwargs": {"path": str(dags)}}
    varying = {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__PLUGINS_FOLDER": str(dags.parent / "plugins"),
        "CORE__FERNET_KEY": secret["fernet_key"],
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": dsn.replace("postgresql://", "postgresql+psycopg2://"),
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": dsn.replace("postgresql://", "postgresql+asyncpg://"),
        "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "LOGGING__WORKER_LOG_SERVER_PORT": str(settings.port("airflow_worker_logs")),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(settings.port("airflow_triggerer_logs")),
        "API__BASE_URL": url,
        "API__PORT": str(settings.port("airflow")),
        "API__SECRET_KEY": secret["api_secret_key"],
        "API_AUTH__JWT_SECRET": secret["jwt_secret"],
    }
    options = {f"AIRFLOW__{name}": value for name, value in {**_FIXED, **varying}.items()}
    return {"AIRFLOW_HOME": str(home), **options}


_LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"
_FIXED: Mapping[str, str] = {
    "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "False",
    # Two cores: a third task waits for a store most of the time.
    "CORE__PARALLELISM": "4",
    "CORE__MAX_ACTIVE_TASKS_PER_DAG": "4",
    "CORE__TEST_CONNECTION": "Enabled",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
    "API__HOST": HOST,
    "API__WORKERS": "1",
    "API__EXPOSE_CONFIG": "False",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
    # 5 s by default: seen to fail tasks before they began, on two cores that others kept busy.
    "WORKERS__EXECUTION_API_TIMEOUT": "60",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
    # The engine writes its own OpenLineage events; a second set per task would only repeat them.
    "OPENLINEAGE__DISABLED": "True",
}
_QUIET: Mapping[str, str] = {
    "PYTHONWARNINGS": "ignore::DeprecationWarning,ignore::FutureWarning",
    "PYTHONUNBUFFERED": "1",
    "SODA_CORE_TELEMETRY_ENABLED": "false",
    "NO_COLOR": "1",
}


def _load_secrets(path: Path) -> dict[str, str]:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = {name: secrets.token_urlsafe(48) for name in ("api_secret_key", "jwt_secret")}
        made["fernet_key"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        _write_private(path, made)
    loaded: dict[str, str] = json.loads(path.read_text())
    return loaded


def _write_private(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON that only its owner can read, whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(dict(value)))
    draft.replace(path)
