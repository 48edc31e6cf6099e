"""Names of relations as people write them, and as SQL wants them: always quoted."""

from __future__ import annotations

import re
from dataclasses import dataclass

from data_workbench.errors import SchemaConflict, StreamUnknown

LONGEST = 63
"""NAMEDATALEN - 1 bytes; PostgreSQL would cut longer names off in silence."""
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def quoted(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Relation:
    """A schema and a name, both as they stand in the catalogue."""

    schema: str
    name: str

    @property
    def sql(self) -> str:
        """For SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def stream(self) -> str:
        """As `discover` gives it: `schema.table`, parts quoted where they have a dot or a quote."""
        return f"{_shown(self.schema)}.{_shown(self.name)}"


def _shown(part: str) -> str:
    return quoted(part) if "." in part or '"' in part else part


def parse_relation(text: str) -> Relation:
    """`table`, `schema.table` or `"My Schema"."Tab.le"`; unquoted parts are taken as they are, case and all.

    Raises:
        StreamUnknown: it is none of these.
    """
    parts: list[str] = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            break
        parts.append(found[1].replace('""', '"') if found[1] is not None else found[2])
        at = found.end()
        if at < len(text):
            if text[at] != "." or at + 1 == len(text):
                break
            at += 1
    if at < len(text) or not 1 <= len(parts) <= 2:
        raise StreamUnknown(
            f"{text!r} is not the name of a table",
            hint='write table, schema.table, or "My Schema"."Tab.le" with quotes around odd parts',
        )
    return Relation(parts[0] if len(parts) == 2 else "public", parts[-1])


def check_length(name: str) -> str:
    """The name, unless PostgreSQL would cut it off.

    Raises:
        SchemaConflict: it is longer than 63 bytes.
    """
    size = len(name.encode())
    if size > LONGEST:
        raise SchemaConflict(
            f"the name {name!r} has {size} bytes; PostgreSQL keeps {LONGEST}", hint="rename it in a step before"
        )
    if "\0" in name or not name:
        raise SchemaConflict(f"{name!r} is not a name PostgreSQL can hold", hint="rename it in a step before")
    return name
