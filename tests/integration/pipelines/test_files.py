"""Pipelines over files: the example of the documents, only what is new, records set aside, object storage."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import xlsxwriter
from tests.integration.connectors.files import stores

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import from_url
from data_workbench.connectors.files.source import FilesSource
from data_workbench.errors import SchemaConflict

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

EXAMPLE = Path(__file__).resolve().parents[2] / "fixtures" / "pipelines" / "docs_files_formats.yaml"


def _prices(place: Path, rows: list[tuple[str, float]]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    book = xlsxwriter.Workbook(place)
    sheet = book.add_worksheet("Prices")
    sheet.write_row(0, 0, ["sku", "price", "valid_from"])
    for row, (sku, price) in enumerate(rows, 1):
        sheet.write_string(row, 0, sku)
        sheet.write_number(row, 1, price)
        sheet.write_string(row, 2, "2026-01-01")
    book.close()


def _orders(place: Path, orders: list[dict[str, Any]]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("orders/1.json", json.dumps({"orders": orders}))


def _rows(site: Site, stream: str, **options: Any) -> list[dict[str, Any]]:
    source = FilesSource(from_url(f"file://{site.files}"), site.settings)
    return [row for batch in source.read(ReadRequest(stream, options=options)) for row in batch.to_pylist()]


def test_the_example_of_the_documents_reads_each_workbook_once(site: Site) -> None:
    text = EXAMPLE.read_text()
    _prices(site.files / "incoming" / "prices-1.xlsx", [("007", 1.5), ("008", 2.25)])
    lines = [{"sku": "007", "quantity": 2}, {"sku": "008", "quantity": 0}]
    orders = [{"id": 1, "lines": lines}, {"id": 2, "lines": [{"sku": "x", "quantity": 1}]}]
    _orders(site.files / "drops" / "a.zip", orders)
    first = site.run(text)
    assert first["sources"]["prices"]["read"] == 2
    assert first["steps"]["priced"]["filtered"] == 1
    assert first["reconciliation"]["clean"]
    assert {(row["sku"], row["price"]) for row in _rows(site, "lake/prices")} == {
        ("007", Decimal("1.50")),
        ("008", Decimal("2.25")),
    }
    written = gzip.decompress((site.files / "lake" / "lines.csv.gz").read_bytes()).decode().splitlines()
    assert len(written) == 3

    second = site.run(text)
    assert second["sources"]["prices"]["read"] == 0
    _prices(site.files / "incoming" / "prices-2.xlsx", [("009", 3.0)])
    _prices(site.files / "incoming" / "prices-1.xlsx", [("007", 9.5), ("008", 2.25)])
    third = site.run(text)
    assert third["sources"]["prices"] == {**third["sources"]["prices"], "read": 3, "deduplicated": 0}
    counts = third["destinations"]["prices"]
    assert (counts["inserted"], counts["updated"], counts["unchanged"]) == (1, 1, 1)
    assert site.reconcile(text)["clean"]


def test_records_that_fit_no_row_wait_in_the_quarantine_and_the_rest_is_loaded(site: Site) -> None:
    (site.files / "in").mkdir(parents=True, exist_ok=True)
    (site.files / "in" / "a.csv").write_text("id,v\n1,x\n2\n3,y,z\n4,w\n")
    (site.files / "in" / "b.jsonl").write_text('{"id": 1}\nnonsense\n[2]\n{"id": 3}\n')
    text = """
    version: 1
    pipeline: ragged
    sources:
      table: {connection: files, stream: in/a.csv, key: [id]}
      lines: {connection: files, stream: in/b.jsonl, key: [id]}
    destinations:
      table: {connection: files, input: table, file: out/a.parquet, key: [id], write: merge}
      lines: {connection: files, input: lines, file: out/b.avro, key: [id], write: merge}
    """
    done = site.run(text)
    assert done["sources"]["table"]["quarantined"] == 2
    assert done["sources"]["lines"]["quarantined"] == 2
    assert sorted(rule for record in site.quarantined("ragged") for rule in record["rules"]) == [
        *("csv_cells", "csv_cells", "json_object", "json_object")
    ]
    assert [row["id"] for row in _rows(site, "out/a.parquet")] == [1, 4]


def test_a_damaged_file_ends_the_run_by_name_and_leaves_what_stood(site: Site) -> None:
    (site.files / "in").mkdir(parents=True, exist_ok=True)
    place = site.files / "in" / "a.csv.gz"
    text = """
    version: 1
    pipeline: damaged
    sources:
      rows: {connection: files, stream: in/a.csv.gz, key: [id]}
    destinations:
      out: {connection: files, file: out/rows.xlsx, key: [id], write: merge}
    """
    content = gzip.compress(b"id,v\n" + b"".join(b"%d,%d\n" % (n, n * 7919) for n in range(50_000)))
    place.write_bytes(gzip.compress(b"id,v\n1,x\n"))
    site.run(text)
    before = (site.files / "out" / "rows.xlsx").read_bytes()
    place.write_bytes(content[: len(content) // 2])
    with pytest.raises(SchemaConflict, match=r"in/a\.csv\.gz: .*damaged"):
        site.try_run(text)
    assert (site.files / "out" / "rows.xlsx").read_bytes() == before
    assert [path.name for path in (site.files / "out").iterdir()] == ["rows.xlsx"]


def test_rows_go_to_object_storage_and_no_secret_goes_with_them(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.sql("CREATE TABLE parts (id int PRIMARY KEY, name text, price numeric(12,2))")
    site.sql("INSERT INTO parts SELECT n, 'part ' || n, n + 0.5 FROM generate_series(1, 200) n")
    with stores.moto() as server:
        server.client().create_bucket(Bucket="lake")
        lake = server.connection("lake/site")
        document = {
            "conn_type": lake.kind,
            "host": lake.host,
            "login": lake.login,
            "password": lake.secret,
            "extra": dict(lake.extra),
        }
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(document))
        text = """
        version: 1
        pipeline: to_the_lake
        sources:
          parts: {connection: pg, stream: public.parts, key: id}
        destinations:
          folder: {connection: lake, folder: parts, key: [id], write: merge}
          file: {connection: lake, file: export/parts.csv.gz, write: replace}
        """
        first = site.run(text)
        assert first["destinations"]["folder"]["inserted"] == 200
        assert first["reconciliation"]["clean"]
        site.sql("UPDATE parts SET price = 0 WHERE id <= 3")
        second = site.run(text)
        assert second["destinations"]["folder"]["updated"] == 3
        assert site.reconcile(text)["clean"]
        keys = {item["Key"] for item in server.client().list_objects_v2(Bucket="lake")["Contents"]}
        assert "site/export/parts.csv.gz" in keys
        assert "site/parts/_manifest.json" in keys
        found = server.client().get_object(Bucket="lake", Key="site/export/parts.csv.gz")["Body"].read()
        assert len(gzip.decompress(found).splitlines()) == 201
        told = json.dumps([first, second], default=str) + caplog.text
        everything = told.encode() + b"".join(path.read_bytes() for path in _files_of(site.settings.home))
        assert stores.SECRET.encode() not in everything


def _files_of(folder: Path) -> list[Path]:
    return [Path(base) / name for base, _, names in os.walk(folder) for name in names]
