"""A contract proposed from a profile: what held for every row that was seen, no tighter than an owner would sign.

Only what is known is promised: exact counts, the store's own keys. A person reads it before it becomes a contract.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_FEW: Final = 12
"""A column with more different values is no list of allowed ones."""
_ENOUGH: Final = 50
"""Rows from which a list of values, a pattern or a length is more than chance."""
_SHAPES: Final = {"A": r"\p{Lu}+", "a": r"\p{Ll}+", "9": "[0-9]+"}
_MARKS: Final = ("_element_id", "_start_", "_end_", "_kafka_")
"""Columns of a graph or a topic that are places in the store, not content."""


def suggest(profile: Mapping[str, Any]) -> dict[str, Any]:
    """A contract in the form of a file in `dags/contracts`; its name and owner are for a person to think about."""
    rows = profile["rows"]
    columns = {
        name: promise
        for name, told in profile["columns"].items()
        if not name.startswith(_MARKS) and (promise := _promise(told, rows, is_part=profile["limited"]))
    }
    groups = [list(one) for one in profile["unique"] if not any(name.startswith(_MARKS) for name in one)]
    for [name] in (group for group in groups if len(group) == 1):
        columns.setdefault(name, {})["unique"] = True
    connection, stream = profile["connection"], profile["stream"]
    name = re.sub(r"[^a-z0-9]+", "_", stream.lower()).strip("_")[:60]
    head = {"version": 1, "contract": name if name[:1].isalpha() else f"of_{name}"}
    contract: dict[str, Any] = {**head, "connection": connection, "stream": stream, "columns": columns}
    several = [group for group in groups if len(group) > 1]
    return contract | ({"unique": several} if several else {})


def _promise(told: Mapping[str, Any], rows: int, *, is_part: bool) -> dict[str, Any]:
    hidden = told.get("hidden")
    promise: dict[str, Any] = {}
    if hidden != "redacted" and rows and told.get("nulls") == 0:
        promise["required"] = True
    if hidden:
        return promise | ({"classification": "controlled"} if hidden == "classified" else {})
    distinct = told.get("distinct", {})
    is_exact, present = distinct.get("method") == "exact" and not is_part, rows - (told.get("nulls") or 0)
    if is_exact and told["kind"] in ("text", "number") and 1 < distinct["value"] == present:
        promise["unique"] = True
    values = [one["value"] for one in told.get("top", [])]
    is_list = is_exact and 0 < distinct["value"] <= min(_FEW, len(values)) and present >= _ENOUGH
    if told["kind"] == "text" and is_list:
        return promise | {"values": sorted(values)}
    return promise | _range(told) | (_text(told) if present >= _ENOUGH else {})


def _range(told: Mapping[str, Any]) -> dict[str, Any]:
    """A sign holds longer than the least and greatest value that happened to be there."""
    return {"min": 0} if told["kind"] == "number" and told.get("min") is not None and float(told["min"]) >= 0 else {}


def _text(told: Mapping[str, Any]) -> dict[str, Any]:
    lengths = told.get("lengths")
    if told["kind"] != "text" or not lengths or lengths["max"] is None:
        return {}
    promise: dict[str, Any] = {"min_length": 1} if lengths["min"] > 0 else {}
    if lengths["min"] == lengths["max"]:
        promise = {"min_length": lengths["min"], "max_length": lengths["max"]}
    patterns = told.get("patterns", [])
    if len(patterns) == 1 and not told.get("sampled") and (expression := _expression(patterns[0]["pattern"])):
        promise["pattern"] = expression
    return promise


def _expression(shape: str) -> str | None:
    """A shape as a regular expression, if it says more than "letters"."""
    if not re.search(r"[^Aa ]", shape):
        return None
    return "^" + "".join(_SHAPES.get(one, re.escape(one)) for one in shape) + "$"
