"""A site of files for the engine: real connectors and real stores, and no server."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_workbench.artifacts import ArtifactStore, Manifest
from data_workbench.connectors.connections import Connection, Connections
from data_workbench.language.definition import Definition, parse_definition
from data_workbench.mapping.targets import LoadContext
from data_workbench.pipelines.landing import LandingContext
from data_workbench.pipelines.plan import RunPlan
from data_workbench.pipelines.planning import compile_run
from data_workbench.pipelines.stores import Stores
from data_workbench.settings import Settings

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class FileSite:
    """One folder as source and destination, reached as connection `files`."""

    folder: Path
    settings: Settings
    stores: Stores
    artifacts: ArtifactStore
    run_id: str = "run-1"
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> LandingContext:
        return LandingContext("p", self.run_id, NOW, self.params)

    def put(self, name: str, table: pa.Table) -> None:
        """A Parquet file, as a source finds it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)

    def define(self, text: str) -> Definition:
        return parse_definition("version: 1\npipeline: p\n" + textwrap.dedent(text))

    def plan(self, text: str, baseline: RunPlan | None = None) -> RunPlan:
        return compile_run(self.define(text), self.stores, baseline.sources if baseline else None)

    def artifact(self, name: str, table: pa.Table, **extra: Any) -> Manifest:
        """A finished artifact of this run."""
        with self.artifacts.begin("p", self.run_id, name, table.schema) as writer:
            for batch in table.to_batches(max_chunksize=3):
                writer.write(batch)
            return writer.finish(extra=extra)

    def load_context(self, index: int = 0) -> LoadContext:
        return LoadContext("p", "out", self.run_id, index, NOW.isoformat())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FileSite]:
    """A folder, small batches and parts, and nothing in it yet."""
    folder = tmp_path / "files"
    folder.mkdir()
    settings = Settings(python_modules="m", home=tmp_path / "home", min_free_disk=0, part_rows=4, batch_rows=3)
    known = {"files": Connection("files", "workbench_files", host=f"file://{folder}")}
    with Stores(Connections(known.get), settings) as stores:
        yield FileSite(folder, settings, stores, ArtifactStore(settings))


@pytest.fixture(scope="session")
def now() -> datetime:
    """The time of every run here."""
    return NOW
