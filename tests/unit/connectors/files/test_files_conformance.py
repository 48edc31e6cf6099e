"""The conformance suite on files: every format as a folder, Parquet and CSV as one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.conformance.destination import DestinationConformance, context
from tests.conformance.rows import SCHEMA, make_rows
from tests.conformance.source import SourceConformance

from data_workbench.connectors.base import Destination, Source
from data_workbench.connectors.connections import from_url
from data_workbench.connectors.files.destination import FilesDestination
from data_workbench.connectors.files.source import FilesSource
from data_workbench.mapping.targets import FileTarget, Target
from data_workbench.settings import Settings

pytestmark = pytest.mark.slow


class FolderConformance(DestinationConformance):
    kind = "parquet"
    is_folder = True

    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return FilesDestination(from_url(f"file://{tmp_path}"), Settings())

    @pytest.fixture
    def target(self) -> Target:
        return FileTarget("rows", f"out/rows.{self.kind}", self.is_folder, self.kind, "merge", ("id",))  # type: ignore[arg-type]


class TestParquetFolder(FolderConformance):
    pass


class TestCsvFolder(FolderConformance):
    kind = "csv"


class TestJsonlFolder(FolderConformance):
    kind = "jsonl"


class TestArrowFolder(FolderConformance):
    kind = "arrow"


class TestJsonFolder(FolderConformance):
    kind = "json"


class TestAvroFolder(FolderConformance):
    kind = "avro"


class TestExcelFolder(FolderConformance):
    kind = "excel"

    @pytest.fixture
    def rows(self, schema: pa.Schema) -> pa.Table:
        return without_carriage_returns(super_rows(schema))


def super_rows(schema: pa.Schema) -> pa.Table:
    return make_rows(range(1, 21)).select(schema.names)


def without_carriage_returns(rows: pa.Table) -> pa.Table:
    """A cell of Excel keeps no carriage return; text that holds one is refused (test_excel.py)."""
    place = rows.schema.names.index("name")
    return rows.set_column(place, "name", pc.replace_substring(rows.column("name"), "\r", ""))


class OneFile(FolderConformance):
    is_folder = False

    @pytest.mark.xfail(strict=True, reason="never: one file has no place for a stamp, all its rows are the pipeline's")
    def test_rows_of_another_pipeline_are_foreign_and_not_deleted(
        self, destination, target, schema, rows, load
    ) -> None:
        super().test_rows_of_another_pipeline_are_foreign_and_not_deleted(destination, target, schema, rows, load)


class TestParquetFile(OneFile):
    pass


class TestCsvFile(OneFile):
    kind = "csv"


class TestCompressedJsonLinesFile(OneFile):
    kind = "jsonl"

    @pytest.fixture
    def target(self) -> Target:
        return FileTarget("rows", "out/rows.jsonl.zst", False, "jsonl", "merge", ("id",))


class FileSourceConformance(SourceConformance):
    kind = "parquet"

    @pytest.fixture
    def rows(self) -> pa.Table:
        return make_rows(range(1, 21))

    @pytest.fixture
    def stream(self, tmp_path: Path, rows: pa.Table) -> str:
        name = f"rows.{'xlsx' if self.kind == 'excel' else self.kind}"
        target = FileTarget("rows", name, False, self.kind, "replace")  # type: ignore[arg-type]
        with FilesDestination(from_url(f"file://{tmp_path}"), Settings()).open(target, SCHEMA, context()) as writer:
            writer.write(rows, 0)
            writer.finish()
        return name

    @pytest.fixture
    def source(self, tmp_path: Path, stream: str) -> Source:
        return FilesSource(from_url(f"file://{tmp_path}"), Settings())


class TestParquetSource(FileSourceConformance):
    pass


class TestArrowSource(FileSourceConformance):
    kind = "arrow"


class TestAvroSource(FileSourceConformance):
    kind = "avro"


class LooselyTypedSource(FileSourceConformance):
    """Decimals, times and lists come back as numbers and texts unless `types` says otherwise."""

    columns = ("id", "name", "ratio", "active")

    @pytest.fixture
    def rows(self) -> pa.Table:
        return without_carriage_returns(make_rows(range(1, 21)))

    def test_all_rows_are_read_with_equal_values(
        self, source: Source, stream: str, options: Mapping[str, Any], rows: pa.Table
    ) -> None:
        super().test_all_rows_are_read_with_equal_values(source, stream, options, rows.select(list(self.columns)))


class TestJsonSource(LooselyTypedSource):
    kind = "json"
    columns = ("id", "name", "ratio", "active", "tags")


class TestExcelSource(LooselyTypedSource):
    kind = "excel"
    columns = ("id", "name", "ratio", "active", "born")


class TestCsvSource(FileSourceConformance):
    kind = "csv"

    @pytest.fixture
    def rows(self) -> pa.Table:
        # A decimal reads as a double and a list as text unless `types` says otherwise.
        return make_rows(range(1, 21)).select(["id", "name", "ratio", "active", "born", "updated_at"])

    @pytest.fixture
    def stream(self, tmp_path: Path, rows: pa.Table) -> str:
        target = FileTarget("rows", "rows.csv", False, "csv", "replace")
        destination = FilesDestination(from_url(f"file://{tmp_path}"), Settings())
        with destination.open(target, rows.schema, context()) as writer:
            writer.write(rows, 0)
            writer.finish()
        return "rows.csv"
