"""The CWE catalogue as it lies in the installed `cwe2` package: where it is, and how its cells read.

MITRE's terms ask that its notice goes wherever the data goes; see NOTICE-CWE.txt beside this module.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from data_workbench.errors import StreamUnknown

_KEYS = (
    "PHASE|STRATEGY|EFFECTIVENESS NOTES|EFFECTIVENESS|DESCRIPTION|SCOPE|IMPACT|LIKELIHOOD|NOTE|METHOD|REFERENCE|LINK|"
    "TYPE|TERM|TAXONOMY NAME|ENTRY ID|ENTRY NAME|MAPPING FIT"
)
# Prose holds "::" of its own (C++ names), so an entry begins only where a known key follows.
_ENTRY = re.compile(rf"::(?=(?:{_KEYS}):)")
_FIELD = re.compile(rf"(?:^|:)({_KEYS}):")
_PARENT = re.compile(r"::NATURE:ChildOf:CWE ID:(\d+):VIEW ID:1000:")


@dataclass(frozen=True)
class Weakness:
    """One row of the catalogue; cells that hold several entries are split into fields."""

    cwe_id: int
    name: str
    abstraction: str
    status: str
    description: str
    extended: str
    background: str
    parents: tuple[int, ...]
    consequences: tuple[dict[str, str], ...]
    detections: tuple[dict[str, str], ...]
    mitigations: tuple[dict[str, str], ...]
    examples: tuple[dict[str, str], ...]
    notes: tuple[dict[str, str], ...]

    @property
    def is_deprecated(self) -> bool:
        """The catalogue keeps withdrawn numbers; nothing may be required because of them."""
        return self.status == "Deprecated"


def package_folder(package: str) -> Path:
    """Folder of an installed package, without importing it.

    Raises:
        StreamUnknown: the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise StreamUnknown(f"the demo data package {package!r} is not installed", hint="run `make setup`")
    return Path(spec.origin).parent


def catalogue_path() -> Path:
    """The CSV of view 2000, which holds every weakness."""
    return package_folder("cwe2") / "database_v49" / "helpful_views" / "2000.csv"


def entries(cell: str) -> Iterator[dict[str, str]]:
    """Fields of each `::KEY:value:KEY:value::` entry; a key met twice keeps both values, joined by a comma."""
    for entry in _ENTRY.split(cell.strip().removesuffix("::")):
        pieces = _FIELD.split(entry)
        fields: dict[str, str] = {}
        for key, value in zip(pieces[1::2], pieces[2::2], strict=True):
            fields[key] = f"{fields[key]}, {value}" if key in fields else value
        if fields:
            yield fields


@cache
def catalogue() -> tuple[Weakness, ...]:
    """All weaknesses in file order.

    Raises:
        StreamUnknown: the package `cwe2` is not installed, or has moved its CSV.
    """
    path = catalogue_path()
    if not path.is_file():
        raise StreamUnknown(f"{path.name} is not where cwe2 3.0.0 keeps it", hint="install the pinned cwe2")
    with path.open(encoding="utf-8", newline="") as lines:
        # Rows end with an empty cell that the header does not name; DictReader files it under None.
        return tuple(_weakness(row) for row in csv.DictReader(lines))


def _weakness(row: dict[str, str]) -> Weakness:
    return Weakness(
        cwe_id=int(row["CWE-ID"]),
        name=row["Name"],
        abstraction=row["Weakness Abstraction"],
        status=row["Status"],
        description=row["Description"],
        extended=row["Extended Description"],
        background=row["Background Details"].strip(":"),
        parents=tuple(int(number) for number in _PARENT.findall(row["Related Weaknesses"])),
        consequences=tuple(entries(row["Common Consequences"])),
        detections=tuple(entries(row["Detection Methods"])),
        mitigations=tuple(entries(row["Potential Mitigations"])),
        examples=tuple(entries(row["Observed Examples"])),
        notes=tuple(entries(row["Notes"])),
    )


@cache
def by_family() -> tuple[Weakness, ...]:
    """Live weaknesses walked down from the pillars, so that a parent stands before its children."""
    live = {weakness.cwe_id: weakness for weakness in catalogue() if not weakness.is_deprecated}
    children: dict[int, list[int]] = {}
    for weakness in live.values():
        for parent in weakness.parents[:1]:
            children.setdefault(parent, []).append(weakness.cwe_id)
    roots = [weakness.cwe_id for weakness in live.values() if not weakness.parents]
    order: list[int] = []
    pending = list(reversed(roots))
    while pending:
        number = pending.pop()
        order.append(number)
        pending.extend(reversed(children.get(number, [])))
    return tuple(live[number] for number in order)
