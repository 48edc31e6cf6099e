"""Named groups of RE2 expressions are numbered as RE2 numbers them."""

from __future__ import annotations

import duckdb
import pytest

from data_workbench.transforms.parsing import group_names

PATTERNS = [
    ("(?P<a>x)(y)(?P<b>z)", "xyz", {"a": "x", "b": "z"}),
    (r"\((?P<a>x)\)", "(x)", {"a": "x"}),
    (r"[()\]]+(?P<a>x)", ")(]x", {"a": "x"}),
    (r"[](]+(?P<a>x)", "](x", {"a": "x"}),
    (r"[^](]+(?P<a>\()", "ab(", {"a": "("}),
    ("(?:u(v))(?i)(?P<a>x)", "uvX", {"a": "X"}),
    (r"(?i:q)\\(?P<a>x)", "q\\x", {"a": "x"}),
    ("((?P<inner>x)y)(?P<z>z)", "xyz", {"inner": "x", "z": "z"}),
]


@pytest.mark.parametrize(("pattern", "text", "wanted"), PATTERNS, ids=[pattern for pattern, _, _ in PATTERNS])
def test_each_group_takes_its_part(pattern: str, text: str, wanted: dict[str, str]) -> None:
    found = {
        name: duckdb.sql("SELECT regexp_extract($1, $2, $3)", params=[text, pattern, number]).fetchall()[0][0]
        for name, number in group_names(pattern).items()
    }
    assert found == wanted
