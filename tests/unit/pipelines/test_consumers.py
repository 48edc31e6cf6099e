"""A plan names the pipelines that read what it writes, and the columns they would miss."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.pipelines.consumers import consumers_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.pipelines.conftest import FileSite

ROWS = pa.table({"id": [1], "name": ["a"], "size": [1]})
READER = """\
version: 1
pipeline: {name}
sources: {{rows: {{connection: {connection}, stream: {stream}, columns: [id, size], key: [id]}}}}
steps:
  - {{name: looked, lookup: {{connection: files, stream: out.jsonl, on: {{id: id}}, take: {{word: name}}}}}}
destinations: {{out: {{connection: files, file: x.jsonl}}}}
"""
WRITER = """\
sources: {{rows: {{connection: files, stream: rows.parquet, key: [id]}}}}
steps: [{{name: chosen, select: {columns}}}]
destinations:
  file: {{connection: files, file: out.jsonl, key: [id]}}
"""


def consumers(site: FileSite, folder: Path, columns: str) -> list[dict[str, Any]]:
    site.put("rows.parquet", ROWS)
    return consumers_of(site.plan(WRITER.format(columns=columns)), replace(site.settings, pipelines=folder))


def test_readers_of_what_is_written_are_named_with_what_they_would_miss(site: FileSite, tmp_path: Path) -> None:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "reader.yaml").write_text(READER.format(name="reader", connection="files", stream="out.jsonl"))
    (folder / "other.yaml").write_text(READER.format(name="other", connection="elsewhere", stream="out.jsonl"))
    (folder / "broken.yaml").write_text("version: 1\n")
    (folder / "self.yaml").write_text(READER.format(name="p", connection="files", stream="out.jsonl"))

    def told(columns: str) -> list[tuple[str, str, list[str]]]:
        found = consumers(site, folder, columns)
        assert {one["dataset"] for one in found} == {"files:out.jsonl"}
        return [(one["pipeline"], one["reads"], one["missing"]) for one in found]

    assert told("[id, name, size]") == [
        ("other", "lookup looked", []),
        ("reader", "source rows", []),
        ("reader", "lookup looked", []),
    ]
    assert told("[id, name]") == [
        ("other", "lookup looked", []),
        ("reader", "source rows", ["size"]),
        ("reader", "lookup looked", []),
    ]


def test_without_other_pipelines_there_are_none(site: FileSite, tmp_path: Path) -> None:
    assert consumers(site, tmp_path / "nothing", "[id]") == []
