"""The file of watches: every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_workbench.errors import DefinitionError
from data_workbench.pipelines.watch_files import load_watches, parse_watches
from data_workbench.settings import Settings

FILE = Path("watches.yaml")


def test_the_shipped_file_watches_nothing_yet() -> None:
    shipped = Path(__file__).resolve().parents[3] / "dags" / "watches.yaml"
    found = load_watches(Settings(watches=shipped))
    assert (found.slot, found.retained, found.watches) == ("workbench_changes", 2**30, [])
    assert load_watches(Settings(watches=Path("/nowhere.yaml"))).watches == []


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("version: 1\nwatches:\n  - {connection: pg, stream: t, how: wall}\n", (3, 40), "wall"),
        ("version: 1\nwatches:\n  - {connection: pg, stream: t, how: cursor}\n", (3, 40), "cursor"),
        ("version: 1\nwatches:\n  - {connection: pg, stream: t, key: id, columns: [body]}\n", (3, 41), "'id'"),
        ("version: 1\nretained: much\nwatches: []\n", (2, 11), "512MB"),
        ("version: 1\nslot: Bad-Name\nwatches: []\n", (2, 7), "Bad-Name"),
        ("version: 1\nwatches: [{connection: a, stream: t}, {connection: a, stream: t}]\n", (2, 1), "twice"),
        ("version: 1\nwatches: []\nmore: 1\n", (3, 1), "more"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, place: tuple[int, int], told: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        parse_watches(text, FILE)
    [finding] = raised.value.findings
    assert told in f"{finding.message} {finding.hint}"
    assert finding.line == place[0]
