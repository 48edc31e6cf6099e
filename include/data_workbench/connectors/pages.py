"""The table of a connection's keys in a connector's documents page, made from its config model between two marks."""

from __future__ import annotations

import sys
from pathlib import Path

from data_workbench.connectors.registry import CONNECTORS, spec_of
from data_workbench.connectors.spec import Key, keys_of

BEGIN, END = "<!-- connection: begin -->", "<!-- connection: end -->"


def key_table(kind: str) -> str:
    """A Markdown table of every key a connection of this type takes."""
    rows = ["| key | takes | default | meaning |", "|---|---|---|---|", *(_row(key) for key in keys_of(spec_of(kind)))]
    return "\n".join(rows)


def _row(key: Key) -> str:
    default = "needed" if key.required else "" if key.default in (None, "", {}, ()) else f"`{_plain(key.default)}`"
    cells = (f"`{key.place}`", key.type, default, key.meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_key_table(document: str, kind: str) -> str:
    """The page with its table made anew.

    Raises:
        ValueError: the page has no place for it.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page of {kind} has no {BEGIN} and {END} for the table of its connection's keys")
    return f"{before}{BEGIN}\n{key_table(kind)}\n{END}{after}"


def write_key_tables(folder: Path) -> None:
    """Bring the tables of all connectors' pages in a folder up to date."""
    for kind, connector in CONNECTORS.items():
        page = folder / f"{connector.page}.md"
        page.write_text(with_key_table(page.read_text(encoding="utf-8"), kind), encoding="utf-8")


if __name__ == "__main__":
    write_key_tables(Path(sys.argv[1]))
