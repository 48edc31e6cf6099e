"""Names: as SQL wants them, and what was meant by one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def quoted(name: str) -> str:
    """An identifier for SQL, whatever stands in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text value for SQL, in DuckDB's and PostgreSQL's form."""
    return "'" + text.replace("'", "''") + "'"


def near_names(name: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or the known names if there are few."""
    listed = sorted(known)
    by_folded = {one.casefold(): one for one in listed}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=2, cutoff=0.7)
    if near:
        return f"did you mean {' or '.join(by_folded[one] for one in near)}?"
    if not listed:
        return "none are known here"
    shown = ", ".join(listed[:12]) + (", …" if len(listed) > 12 else "")
    return f"known are {shown}" if len(listed) <= 60 else "see the language guide for the list"
