"""A SELECT given in a pipeline file: read-only, and values bound as terms, never pasted.

A text of the query is cut into tokens (IRIs, strings, comments, names) as SPARQL's grammar does it. Only a `$name`
that stands alone becomes a value; one inside a string or an IRI stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from data_workbench.errors import Unsupported, UsageError
from data_workbench.mapping.rdf_values import Term, n3

_TOKEN = re.compile(
    r'''(?P<quoted>"""(?:[^"\\]|\\.|"(?!""))*"""|\'\'\'(?:[^'\\]|\\.|'(?!''))*\'\'\'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<iri><[^<>"{}|^`\\\x00-\x20]*>)
    | (?P<comment>\#[^\n]*)
    | (?P<variable>[?$]\w+)
    | (?P<word>[\w-]*:[\w.-]*|@\w+|[A-Za-z_]\w*)
    | (?P<other>.)''',
    re.VERBOSE | re.DOTALL,
)
_REFUSED = {
    "service": "asks another server",
    "insert": "changes data",
    "delete": "changes data",
    "load": "changes data",
    "clear": "changes data",
    "drop": "changes data",
    "create": "changes data",
}


def bound_query(query: str, values: Mapping[str, Term]) -> str:
    """The query with each `$name` of `values` as its term.

    Raises:
        UsageError: it is no SELECT, or a value is never used.
        Unsupported: it would change data or ask another server.
    """
    _check(query)
    used: set[str] = set()

    def place(match: re.Match[str]) -> str:
        name = match["variable"]
        if name and name[0] == "$" and name[1:] in values:
            used.add(name[1:])
            return n3(values[name[1:]])
        return match[0]

    made = _TOKEN.sub(place, query)
    unused = sorted(set(values) - used)
    if unused:
        raise UsageError(
            f"the query has no ${unused[0]}, for which a value is given",
            hint=f"write ${unused[0]} where the value belongs; ?{unused[0]} is a variable",
        )
    return made


def _check(query: str) -> None:
    words = [match["word"].lower() for match in _TOKEN.finditer(query) if match["word"]]
    plain = [word for word in words if ":" not in word and not word.startswith("@")]
    first = next((word for word in plain if word not in ("prefix", "base")), "")
    if first != "select":
        raise UsageError("the query is no SELECT", hint="rows come from SELECT; CONSTRUCT, ASK and DESCRIBE give none")
    for word in plain:
        if word in _REFUSED:
            raise Unsupported(f"the query {_REFUSED[word]} ({word.upper()})", hint="a source only reads its own server")
