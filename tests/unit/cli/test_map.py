"""`workbench map suggest` over files: a step that can be pasted, a table of scores, and a document."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_workbench.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CSV of parts, and a table they should become."""
    (tmp_path / "parts.csv").write_text("PartNo,descr,wt_kg,remark\nP1,Pump,12.5,x\nP2,Valve,0.2,y\n")
    wanted = pa.table(
        {
            "part_number": ["P9"],
            "description": ["Hose"],
            "weight_kg": pa.array([None], pa.decimal128(10, 3)),
            "supplier": ["ACME"],
        }
    )
    pq.write_table(wanted, tmp_path / "components.parquet")
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    return tmp_path


def suggest(folder: Path, *options: str) -> None:
    main(["map", "suggest", f"file://{folder}:parts.csv", f"file://{folder}:components.parquet", *options])


def test_it_is_a_step_that_can_be_pasted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suggest(folder)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "map:"
    assert said[1].startswith('  - {target: part_number, from: PartNo, note: "score ')
    assert '  - {target: weight_kg, from: wt_kg, type: "decimal(10,3)"' in said[3]
    assert said[4:] == ["  # - {target: supplier}  # nothing like it", "  # not used: remark"]


def test_the_document_tells_pairs_scores_and_what_is_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suggest(folder, "--json", "--sample", "0")
    document = json.loads(capsys.readouterr().out)
    assert [(one["target"], one["source"]) for one in document["mapping"]] == [
        ("part_number", "PartNo"),
        ("description", "descr"),
        ("weight_kg", "wt_kg"),
    ]
    assert all(one["values"] is None for one in document["mapping"])
    assert (document["without_source"], document["unused"]) == (["supplier"], ["remark"])


def test_scores_are_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suggest(folder, "--scores", "--least", "0.9")
    assert "part_number" in capsys.readouterr().out


def test_a_dataset_that_is_none_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["map", "suggest", "parts.csv", f"file://{folder}:components.parquet"])
    assert ended.value.code == 2
    assert "'parts.csv' is no dataset" in capsys.readouterr().err


PIPELINE = """
version: 1
pipeline: parts
sources: {parts: {connection: "file://FOLDER", stream: parts.csv}}
steps:
  - name: mapped
    map: [{target: part, expression: "'P-' || PartNo"}, {target: text, from: descr}, {target: weight, from: wt_kg}MORE]
destinations: {out: {connection: "file://FOLDER", file: out.jsonl}}
"""


def inverted(folder: Path, more: str) -> str:
    file = folder / "parts.yaml"
    file.write_text(PIPELINE.replace("FOLDER", str(folder)).replace("MORE", more))
    return str(file)


def test_a_mapping_turned_round_is_a_step(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["map", "invert", inverted(folder, ", {target: remark, from: remark}"), "mapped"])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "map:"
    assert said[1].startswith("  - {target: PartNo, expression: ")
    assert said[2:] == [
        "  - {target: descr, from: text}",
        "  - {target: wt_kg, from: weight}",
        "  - {target: remark, from: remark}",
    ]


def test_a_column_that_is_lost_ends_with_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["map", "invert", inverted(folder, ""), "mapped", "--json"])
    assert ended.value.code == 1
    document = json.loads(capsys.readouterr().out)
    assert document["lost"] == {"remark": "no line takes it alone"}
    assert document["invertible"] is False
