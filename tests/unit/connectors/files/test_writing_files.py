"""Writing files: what is seen, when, and that it reads back equal."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import from_url
from data_workbench.connectors.files.destination import FilesDestination
from data_workbench.connectors.files.source import FilesSource
from data_workbench.errors import AccessDenied, Unsupported
from data_workbench.events import Event, subscribed
from data_workbench.mapping.targets import FileTarget, LoadContext
from data_workbench.records import marks
from data_workbench.records.accounting import WriteCounts
from data_workbench.settings import Settings

FORMATS = ("parquet", "csv", "jsonl", "arrow")


def _destination(folder: Path) -> FilesDestination:
    return FilesDestination(from_url(f"file://{folder}"), Settings())


def _context(run: str = "run-1") -> LoadContext:
    return LoadContext("p", "d", run, 0, "2026-01-01T00:00:00+00:00")


def _target(
    path: str, write: str, *, folder: bool = False, kind: str = "parquet", key: tuple[str, ...] = ("k",)
) -> FileTarget:
    return FileTarget("i", path, folder, kind, write, key)  # type: ignore[arg-type]


def _load(folder: Path, target: FileTarget, *parts: pa.Table, run: str = "run-1") -> WriteCounts:
    schema = pa.schema([item for item in parts[0].schema if not item.name.startswith("_wb_")])
    with _destination(folder).open(target, schema, _context(run)) as writer:
        for index in range(writer.progress.parts, len(parts)):
            writer.write(parts[index], index)
        counts = writer.finish()
    counts.check("test")
    return counts


def _rows(folder: Path, target: FileTarget, schema: pa.Schema, keys: pa.Table | None = None) -> list[dict[str, Any]]:
    batches = list(_destination(folder).read_back(target, schema, _context(), keys))
    return [row for batch in batches for row in batch.to_pylist()]


def _marked(rows: dict[str, list[Any]], *operations: str) -> pa.Table:
    return pa.table({**rows, marks.OP: list(operations)})


NASTY = pa.table(
    {
        "k": pa.array([1, 2, 3], pa.int64()),
        "s": ["", None, 'a"b,c\r\nd\0\U0001f600 \u202e'],
        "f": [float("nan"), float("-inf"), 0.1],
        "d": pa.array([Decimal("1.10"), None, Decimal("-99999999999999999.99")], pa.decimal128(30, 2)),
        "t": pa.array([0, None, 253402300800000000], pa.timestamp("us", "UTC")),
        "day": pa.array([0, -800000, None], pa.int32()).cast(pa.date32()),
        "b": [b"\0\xff", None, b""],
        "l": pa.array([["x", None], None, []], pa.list_(pa.string())),
        "o": pa.array([{"x": 1, "y": [1.5]}, None, {"x": None, "y": None}]),
        "u": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "ok": [True, None, False],
    }
)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("folder", [False, True])
def test_every_format_reads_back_equal(tmp_path: Path, kind: str, folder: bool) -> None:
    target = _target("out/x", "replace", folder=folder, kind=kind)
    assert _load(tmp_path, target, NASTY, NASTY.slice(0, 0)) == WriteCounts(inserted=3, out=3)
    expected = [{**row, marks.OWNED: True} for row in NASTY.drop_columns(["t", "day"]).to_pylist()]
    assert repr(_python_rows(tmp_path, target)) == repr(expected)


def _python_rows(folder: Path, target: FileTarget) -> list[dict[str, Any]]:
    """Python has neither year -220 nor 10000: those columns are compared in Arrow."""
    batches = list(_destination(folder).read_back(target, NASTY.schema, _context(), None))
    table = pa.Table.from_batches(batches)
    assert table.column("t").cast(pa.int64()).to_pylist() == [0, None, 253402300800000000]
    assert table.column("day").cast(pa.int32()).to_pylist() == [0, -800000, None]
    return table.drop_columns(["t", "day"]).to_pylist()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("folder", [False, True])
def test_merge_accounts_and_keeps_rows_of_other_keys(tmp_path: Path, kind: str, folder: bool) -> None:
    target = _target("m", "merge", folder=folder, kind=kind)
    first = pa.table({"k": [1, 2, 3], "v": ["a", None, ""]})
    assert _load(tmp_path, target, first) == WriteCounts(inserted=3, out=3)
    part = _marked({"k": [1, 2, 4, 3, 9, 8], "v": ["A", None, "d", None, None, None]}, *"uuuddf")
    counts = _load(tmp_path, target, part, pa.table({"k": [4], "v": ["e"]}), run="run-2")
    assert counts == WriteCounts(inserted=1, updated=2, unchanged=2, deleted=1, out=6)
    rows = _rows(tmp_path, target, first.schema)
    assert sorted((row["k"], row["v"]) for row in rows) == [(1, "A"), (2, None), (4, "e")]


@pytest.mark.parametrize("folder", [False, True])
def test_the_same_merge_again_changes_no_byte(tmp_path: Path, folder: bool) -> None:
    target = _target("m", "merge", folder=folder)
    table = pa.table({"k": [1, 2], "v": ["a", "b"]})
    _load(tmp_path, target, table)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file())
    assert _load(tmp_path, target, table, run="run-2") == WriteCounts(unchanged=2, out=2)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()) == before


def test_merge_keeps_a_column_that_only_older_rows_have(tmp_path: Path) -> None:
    target = _target("m.parquet", "merge")
    _load(tmp_path, target, pa.table({"k": [1, 2], "old": ["x", "y"]}))
    _load(tmp_path, target, pa.table({"k": [2], "added": [5]}), run="run-2")
    rows = pq.read_table(tmp_path / "m.parquet").to_pylist()
    assert sorted(rows, key=lambda row: row["k"]) == [
        {"k": 1, "added": None, "old": "x"},
        {"k": 2, "added": 5, "old": None},
    ]


def test_nothing_is_seen_before_the_end_and_nothing_is_left_after_a_failure(tmp_path: Path) -> None:
    target = _target("a.parquet", "replace")
    table = pa.table({"k": [1]})
    with _destination(tmp_path).open(target, table.schema, _context()) as writer:
        writer.write(table, 0)
        assert not (tmp_path / "a.parquet").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_replaced_folder_holds_only_the_parts_of_its_load(tmp_path: Path) -> None:
    target = _target("f", "replace", folder=True)
    table = pa.table({"k": [1, 2]})
    _load(tmp_path, target, table, table)
    _load(tmp_path, target, table.slice(0, 1), run="run-2")
    assert [row["k"] for row in _rows(tmp_path, target, table.schema)] == [1]
    assert len(list((tmp_path / "f").glob("*.parquet"))) == 1
    assert pq.read_table(tmp_path / "f").num_rows == 1
    assert _load(tmp_path, target, table.slice(0, 0), run="run-3") == WriteCounts()
    assert _rows(tmp_path, target, table.schema) == []


def test_an_append_that_is_repeated_after_a_crash_adds_nothing(tmp_path: Path) -> None:
    target = _target("f", "append", folder=True, kind="csv")
    table = pa.table({"k": [1, 2]})
    assert _load(tmp_path, target, table).inserted == 2
    assert _load(tmp_path, target, table).inserted == 2
    assert len(_rows(tmp_path, target, table.schema)) == 2
    _load(tmp_path, target, table, run="run-2")
    source = FilesSource(from_url(f"file://{tmp_path}"), Settings())
    assert sum(batch.num_rows for batch in source.read(ReadRequest("f"))) == 4


@pytest.mark.parametrize("name", ["load.before_commit", "load.after_commit"])
@pytest.mark.parametrize("write", ["append", "replace", "merge"])
def test_a_load_that_dies_around_its_commit_ends_the_same(tmp_path: Path, name: str, write: str) -> None:
    target = _target("f", write, folder=True)
    _load(tmp_path, target, pa.table({"k": [7]}), run="run-0")

    def die(event: Event) -> None:
        if event.name == name and event.facts["part"] is None:
            raise KeyboardInterrupt

    with subscribed(die), pytest.raises(KeyboardInterrupt):
        _load(tmp_path, target, pa.table({"k": [1, 2]}))
    _load(tmp_path, target, pa.table({"k": [1, 2]}))
    expected = [1, 2] if write == "replace" else [1, 2, 7]
    assert sorted(row["k"] for row in _rows(tmp_path, target, pa.schema([("k", pa.int64())]))) == expected


@pytest.mark.parametrize("run", ["run-1", "run-2"])
@pytest.mark.parametrize(
    ("write", "theirs"), [("append", False), ("append", True), ("replace", False), ("merge", False)]
)
def test_a_first_load_that_dies_between_its_parts_and_its_switch_leaves_nothing_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str, theirs: bool, run: str
) -> None:
    target, schema = _target("f", write, folder=True), pa.schema([("k", pa.int64())])
    if theirs:
        (tmp_path / "f").mkdir()
        pq.write_table(pa.table({"k": [7]}), tmp_path / "f" / "theirs.parquet")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("data_workbench.connectors.files.writing.write_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            _load(tmp_path, target, pa.table({"k": [1, 2]}))
    assert len(list((tmp_path / "f").glob("part-run-1*.parquet"))) == 1
    before = [7] if theirs else []
    assert [row["k"] for row in _rows(tmp_path, target, schema)] == before
    assert _load(tmp_path, target, pa.table({"k": [1, 2]}), run=run).inserted == 2
    assert sorted(row["k"] for row in _rows(tmp_path, target, schema)) == [1, 2, *before]


def test_append_to_one_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    target = _target("a.csv", "append", kind="csv")
    with pytest.raises(Unsupported) as caught:
        _load(tmp_path, target, pa.table({"k": [1]}))
    assert "folder" in (caught.value.hint or "")
    assert _destination(tmp_path).plan(target, pa.schema([("k", pa.int64())]))[0].action == "refuse"


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    pq.write_table(pa.table({"k": [5]}), tmp_path / "f" / "theirs.parquet")
    with pytest.raises(AccessDenied, match="theirs"):
        _load(tmp_path, _target("f", "replace", folder=True), pa.table({"k": [1]}))
    target = _target("f", "append", folder=True)
    _load(tmp_path, target, pa.table({"k": [1]}))
    owned = {row["k"]: row[marks.OWNED] for row in _rows(tmp_path, target, pa.schema([("k", pa.int64())]))}
    assert owned == {5: False, 1: True}


def test_targets_that_lead_out_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    for path in ("../x.parquet", "/tmp/x.parquet", "out/x.parquet"):
        with pytest.raises(AccessDenied):
            _load(root, _target(path, "replace"), pa.table({"k": [1]}))


def test_staged_parts_are_adopted_by_link(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir(mode=0o700)
    table = pa.table({"k": [1, 2]})
    parts = [staged / "0.parquet", staged / "1.parquet"]
    for part in parts:
        pq.write_table(table, part)
    root = tmp_path / "root"
    target = _target("f", "replace", folder=True)
    _load(root, target, table.slice(0, 1), run="run-0")
    counts = _destination(root).adopt(target, table.schema, _context(), parts)
    assert counts == WriteCounts(inserted=4, out=4)
    assert _destination(root).adopt(target, table.schema, _context(), parts) == counts
    assert {path.stat().st_ino for path in (root / "f").glob("*.parquet")} == {part.stat().st_ino for part in parts}
    assert len(_rows(root, target, table.schema)) == 4
    single = _target("one.parquet", "replace")
    assert _destination(root).adopt(single, table.schema, _context(), parts[:1]) == WriteCounts(inserted=2, out=2)
    assert _destination(root).adopt(single, pa.schema([("other", pa.int64())]), _context(), parts[:1]) is None
    assert _destination(root).adopt(_target("m", "merge"), table.schema, _context(), parts[:1]) is None


def test_read_back_delete_and_unique_by_key(tmp_path: Path) -> None:
    target = _target("m.csv", "merge", kind="csv", key=("k", "g"))
    table = pa.table({"k": [1, 1, 2], "g": ["a", "b", "a"], "v": ["x", "y", "x"]})
    _load(tmp_path, target, table)
    keys = pa.table({"k": pa.array([1], pa.int32()), "g": ["b"]})
    assert _rows(tmp_path, target, table.schema, keys) == [{"k": 1, "g": "b", "v": "y", marks.OWNED: True}]
    found = _destination(tmp_path).find_unique(target, ("v",), pa.table({"v": ["x"]}))
    assert found.to_pylist() == [{"k": 1, "g": "a", "v": "x"}, {"k": 2, "g": "a", "v": "x"}]
    assert _destination(tmp_path).delete(target, table.schema, _context(), keys) == 1
    assert len(_rows(tmp_path, target, table.schema)) == 2


def test_the_manifest_tells_which_load_made_the_folder(tmp_path: Path) -> None:
    _load(tmp_path, _target("f", "replace", folder=True), pa.table({"k": [1]}))
    manifest = json.loads((tmp_path / "f" / "_manifest.json").read_text())
    assert manifest["load"]["run"] == "run-1"
    assert manifest["load"]["counts"]["inserted"] == 1


@pytest.mark.slow
def test_a_large_cell_survives(tmp_path: Path) -> None:
    table = pa.table({"k": [1], "v": ["y" * 10_000_000]})
    for kind in FORMATS:
        target = _target(f"big.{kind}", "replace", kind=kind)
        _load(tmp_path, target, table)
        assert len(_rows(tmp_path, target, table.schema)[0]["v"]) == 10_000_000


def test_a_row_of_another_pipeline_goes_over_when_it_is_merged_and_the_rest_stays(tmp_path: Path) -> None:
    target = _target("f", "merge", folder=True)
    table = pa.table({"k": [1, 2], "v": ["a", "b"]})
    theirs = LoadContext("other", "d", "run-1", 0, "2026-01-01T00:00:00+00:00")
    with _destination(tmp_path).open(target, table.schema, theirs) as writer:
        writer.write(table, 0)
        writer.finish()
    untouched = next((tmp_path / "f").glob("*.parquet")).name
    _load(tmp_path, target, pa.table({"k": [3], "v": ["c"]}))
    assert (tmp_path / "f" / untouched).exists()
    assert _load(tmp_path, target, table.slice(0, 1), run="run-2").updated == 1
    owned = {row["k"]: row[marks.OWNED] for row in _rows(tmp_path, target, table.schema)}
    assert owned == {1: True, 2: False, 3: True}
