"""What a YAML file of a site is, by what it says of itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from data_workbench.language.yaml_quick import read_quickly
from data_workbench.language.yaml_tree import Unreadable, read_tree

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["pipeline", "contract", "policy", "watches"]


def kind_of(path: Path) -> Kind:
    """A contract, a policy of archiving or a list of watches where the file has their keys; else a pipeline."""
    with suppress(OSError, UnicodeDecodeError, Unreadable):
        text = path.read_text(encoding="utf-8")
        plain = (read_quickly(text) or read_tree(text)[0]).plain()
        if not isinstance(plain, dict) or "pipeline" in plain:
            return "pipeline"
        # A pipeline's contract is below a key, not a name.
        if isinstance(plain.get("contract"), str):
            return "contract"
        if "archive" in plain or "age" in plain:
            return "policy"
        if "watches" in plain:
            return "watches"
    return "pipeline"
