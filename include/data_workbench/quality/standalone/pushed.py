"""Promises of columns counted by PostgreSQL itself, where both mean the same to the last row.

Only a contract that promises nothing else is counted there, in one pass (`quality/in_postgres.py`) with the number of
rows. For all others the rows are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.powers import CanCount
from data_workbench.quality.in_postgres import broken_promises
from data_workbench.quality.standalone.finders import Finder
from data_workbench.quality.standalone.masking import SHOWN

if TYPE_CHECKING:
    from data_workbench.connectors.base import Source, Stream
    from data_workbench.quality.standalone.model import StandaloneContract


@dataclass(frozen=True)
class Pushed:
    """What the store counted.

    Args:
        counts: failing rows of each finder.
        sample: the first failing rows of a finder.
    """

    rows: int
    counts: tuple[tuple[Finder, int], ...]
    source: CanCount
    described: Stream

    def sample(self, finder: Finder, limit: int) -> list[dict[str, Any]]:
        """The first rows that break a check: their key, what it looks at, and others."""
        schema = self.described.schema
        plain = [field.name for field in schema if not pa.types.is_nested(field.type)]
        shown = dict.fromkeys([*self.described.key, *finder.columns, *plain])
        columns = [name for name in shown if name in plain][:SHOWN]
        return self.source.failing(self.described.name, finder.query, columns, limit)


def pushed(contract: StandaloneContract, source: Source) -> Pushed | None:
    """The counts of a contract's promises; None where they are not all the same in the store. Raises WorkbenchError."""
    one = contract
    if not isinstance(source, CanCount) or one.checks or one.soda or one.derive or one.where or one.freshness:
        return None
    if any(promise.references is not None for promise in one.columns.values()):
        return None
    described = source.describe(one.stream, one.options or None)
    finders = _finders(one, described.schema)
    if finders is None:
        return None
    rows, counts = source.count(described.name, [finder.query for finder in finders])
    return Pushed(rows, tuple(zip(finders, counts, strict=True)), source, described)


def _finders(contract: StandaloneContract, schema: pa.Schema) -> list[Finder] | None:
    """Conditions under which a row breaks a promise; None if one of them has no words here."""
    if any(name not in schema.names for name in contract.columns):
        return None
    found = []
    for one in broken_promises(contract.columns, contract.unique, schema):
        if one.condition is None:
            return None
        found.append(Finder(one.name, one.condition, one.columns, contract.severity))
    return found


def told(finder: Finder, relation: str) -> str:
    """The finder for people."""
    return f"SELECT * FROM {relation} WHERE {finder.query.replace(CanCount.TABLE, relation)}"
