"""A site for pipelines: a source and a destination database, a graph, a vector store, files, and a metastore."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.language.definition import Definition, parse_definition
from data_workbench.metastore import Metastore
from data_workbench.metastore.audit import Author
from data_workbench.pipelines.checks import lint
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.reconcile import Remedy
from data_workbench.pipelines.run import Runner
from data_workbench.pipelines.upkeep import Upkeep
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from neo4j import Driver
    from qdrant_client import QdrantClient
    from tests.conftest import PostgresDatabase

    from data_workbench.servers import Stack


@dataclass
class Site:
    """What a test needs: SQL, Cypher and points by hand, and pipelines as YAML text."""

    dsn: str
    graph: Driver
    points: QdrantClient
    files: Path
    folder: Path
    variables: dict[str, str]
    metastore: Metastore
    settings: Settings
    options: dict[str, Any] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------ stores by hand

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run SQL on the database that is source and destination at once."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def one(self, statement: str, *values: Any) -> Any:
        """The only value of a query."""
        [[value]] = self.sql(statement, *values)
        return value

    def cypher(self, query: str, **values: Any) -> list[list[Any]]:
        """Run Cypher."""
        with self.graph.session() as session:
            return [record.values() for record in session.run(query, values)]

    def stored(self, collection: str, *, vectors: bool = False) -> dict[Any, Any]:
        """Points by id: payloads without stamps, or whole records."""
        records, _ = self.points.scroll(collection, limit=10_000, with_vectors=vectors)
        if vectors:
            return {record.id: record for record in records}
        return {
            record.id: {k: v for k, v in (record.payload or {}).items() if not k.startswith("_wb_")}
            for record in records
        }

    # --------------------------------------------------------------------------------------------- pipelines

    def runner(self, **changed: Any) -> Runner:
        """A runner over this site."""
        return Runner(
            settings=replace(self.settings, **changed),
            connections=Connections(from_environment),
            metastore=self.metastore,
        )

    def definition(self, text: str) -> Definition:
        """A pipeline without mistakes."""
        found = parse_definition(textwrap.dedent(text), settings=self.settings)
        assert not lint(found)
        return found

    def try_run(self, text: str, params: dict[str, Any] | None = None, **options: Any) -> tuple[dict[str, Any], Any]:
        """Run; the document and the error."""
        return self.runner().run(self.definition(text), params=params or {}, options=RunOptions(**options))

    def run(self, text: str, params: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Run; it must succeed."""
        document, error = self.try_run(text, params, **options)
        assert error is None, f"{error!r}: {document}"
        assert document["state"] == "success"
        return document

    def reconcile(self, text: str, params: dict[str, Any] | None = None, **remedy: bool) -> dict[str, Any]:
        """Compare in full."""
        upkeep = Upkeep(self.runner())
        return upkeep.reconcile_in_full(self.definition(text), params=params or {}, remedy=Remedy(**remedy))

    def quarantined(self, pipeline: str, state: Any = "open") -> list[dict[str, Any]]:
        """Records of a pipeline."""
        whole = Author.of_process()
        return Upkeep(self.runner()).list_quarantine(pipeline, state=state, limit=10_000, seen_by=whole)

    def command(self, *arguments: str, cwd: Path | None = None, **environment: str) -> tuple[int, dict[str, Any], str]:
        """Run the command line with `--json`: exit code, document, stderr."""
        done = subprocess.run(
            # Not by `python -c`: there DuckDB takes itself for a console, and draws how far it is between the JSON.
            [str(Path(sys.executable).with_name("workbench")), *arguments, "--json"],
            capture_output=True,
            text=True,
            env=self.environment(**environment),
            cwd=cwd or self.folder,
            timeout=240,
            check=False,
        )
        return done.returncode, json.loads(done.stdout), done.stderr

    def environment(self, **changed: str) -> dict[str, str]:
        """The environment of a command of this site."""
        return {**os.environ, **self.variables, **self._settings_variables(), **changed}

    def file(self, text: str, name: str = "pipeline.yaml") -> str:
        """A pipeline as a file, for the command line."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return str(path)

    def _settings_variables(self) -> dict[str, str]:
        return {
            "WORKBENCH_HOME": str(self.settings.home),
            "WORKBENCH_CACHE": self.settings.cache,
            "WORKBENCH_METASTORE": self.settings.metastore,
            "WORKBENCH_MIN_FREE_DISK": "1",
        }


@pytest.fixture(scope="module")
def database(stack: Stack, postgres: PostgresDatabase) -> Iterator[Metastore]:
    """The metastore, in the module's own database: its schema, then a schema per test beside it."""
    with Metastore.open(postgres.dsn) as store:
        store.upgrade()
        yield store


@pytest.fixture
def site(
    stack: Stack,
    postgres: PostgresDatabase,
    database: Metastore,
    connections: dict[str, str],
    neo4j: Driver,
    qdrant_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    """Empty stores, known as `pg`, `graph`, `vectors` and `files`; the metastore as `meta`."""
    from qdrant_client import QdrantClient

    _empty(postgres.dsn)
    shown = json.loads(connections["AIRFLOW_CONN_WORKBENCH_FILES"])["host"]
    variables = {
        **connections,
        "AIRFLOW_CONN_PG": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_META": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_GRAPH": connections["AIRFLOW_CONN_ODRAS_NEO4J"],
        "AIRFLOW_CONN_VECTORS": connections["AIRFLOW_CONN_ODRAS_QDRANT"],
        "AIRFLOW_CONN_FILES": connections["AIRFLOW_CONN_WORKBENCH_FILES"],
        "AIRFLOW_CONN_ODRAS_POSTGRES": json.dumps(postgres.airflow),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        home=tmp_path / "home", cache=str(stack.settings.cache_folder), metastore="meta", min_free_disk=1
    )
    client = QdrantClient(url=qdrant_url, timeout=60, check_compatibility=False)
    try:
        yield Site(
            dsn=postgres.dsn,
            graph=neo4j,
            points=client,
            files=Path(str(shown).removeprefix("file://")),
            folder=tmp_path,
            variables=variables,
            metastore=database,
            settings=settings,
        )
    finally:
        client.close()


def _empty(dsn: str) -> None:
    """Drop what tests made; the metastore's own tables are emptied."""
    from data_workbench.metastore.migrations import VERSION_TABLE
    from data_workbench.metastore.tables import metadata

    kept = {*metadata.tables, VERSION_TABLE}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS _workbench, odras_demo CASCADE")
        for kind, name in connection.execute(
            "SELECT CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition"
        ).fetchall():
            if name not in kept and not name.startswith("lineage_"):  # the metastore's views
                quoted = sql.Identifier("public", name)
                connection.execute(sql.SQL(f"DROP {kind} IF EXISTS {{}} CASCADE").format(quoted))
        for (name,) in connection.execute(
            "SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')"
        ).fetchall():
            connection.execute(sql.SQL("DROP TYPE {} CASCADE").format(sql.Identifier("public", name)))
        emptied = [name for name in metadata.tables if name != "audit_entries"]  # the audit trail only ever grows
        connection.execute(f"TRUNCATE {', '.join(emptied)} CASCADE".encode())
