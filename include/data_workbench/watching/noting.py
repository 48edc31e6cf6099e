"""From a change to a row of the journal, for one watch in one pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from data_workbench.journal.content import masked
from data_workbench.journal.watched import Found, What, encode_found
from data_workbench.metastore import journal
from data_workbench.metastore.journal import Origin
from data_workbench.records.values import dumps, key_text

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from data_workbench.metastore.watches import Watch
    from data_workbench.watching.definition import WatchedStream

AT_ONCE: Final = 16_384
"""Changes of one entry."""
_LOW_BITS: Final = 2**63 - 1


@dataclass
class Notebook:
    """Writes what is found of one stream.

    Args:
        hidden: columns whose values are not kept.
        pass_id: of the pass; entries of one have one.
        store, kind: of the connection and the stream, as the journal has them.
    """

    watch: Watch
    spec: WatchedStream
    hidden: frozenset[str]
    pass_id: str
    store: str
    kind: str
    found: int = 0
    _rows: list[tuple[Mapping[str, str | None], Found]] = field(default_factory=list)
    _part: int = 0

    def change(self, session: Connection, key: Mapping[str, str | None], found: Found, *, is_told: bool = True) -> None:
        """Note a change, or what befell the stream."""
        self._rows.append((key, found))
        self.found += is_told
        if len(self._rows) >= AT_ONCE:
            self.flush(session)

    def befall(self, session: Connection, what: What, at: str, **told: Any) -> None:
        """Note what befell the stream as a whole, or who wrote."""
        self.change(session, {}, Found(what, at, **told), is_told=what != "note")

    def flush(self, session: Connection) -> None:
        """Write what is left."""
        if not self._rows:
            return
        origin = Origin(
            connection=self.watch.connection,
            store=self.store,
            kind=self.kind,
            dataset=self.watch.dataset,
            pipeline="",
            definition_hash="",
            run_id=self.pass_id,
            destination=self.watch.stream,
            target_index=0,
        )
        content = encode_found(self.watch.key, self._rows)
        journal.add(session, origin, self._part, len(self._rows), content)
        self._part += 1
        self._rows.clear()

    def kept(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """A row as it may be kept; None where values are not."""
        return masked(dict(row), self.hidden) if self.spec.values else None

    def shown(self, row: Mapping[str, Any] | None) -> str | None:
        """The same as text."""
        return None if row is None or not self.spec.values else dumps(masked(dict(row), self.hidden))

    def actor(self, row: Mapping[str, Any] | None) -> str | None:
        """Who changed the row, by the column that says so; of a classified one nobody is told."""
        name = self.spec.actor
        if name is None or row is None or name in self.hidden or row.get(name) is None:
            return None
        return str(row[name])


def hash_of(row: Mapping[str, Any]) -> int:
    """The low 63 bits of a hash of a row's values; a null is as good as no value."""
    text = key_text({name: value for name, value in row.items() if value is not None})
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[-8:], "big") & _LOW_BITS


def differing(before: Mapping[str, Any], after: Mapping[str, Any], hidden: Collection[str] = ()) -> str:
    """Names of columns that differ, as JSON; of hidden ones nobody can tell."""
    names = [name for name in {**before, **after} if name not in hidden and before.get(name) != after.get(name)]
    return json.dumps(names)
