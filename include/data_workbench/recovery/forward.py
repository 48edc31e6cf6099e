"""What pipelines wrote between the sets that graph and vectors come from and the moment asked for, by the journal.

Gathered before anything is replaced, or from the metastore that went back to the moment itself; held against what
stands once the pipelines have brought their targets in line. Every key of it is accounted for:

    as written    the row stands there as the workbench had left it by the moment
    moved on      the source had another row by the moment, which stands there now
    gone          the source no longer had it by the moment, and neither has the store
    unknown       it stands there, and nobody had compared it before
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.journal import Journal, Keys
from data_workbench.journal.content import AFTER
from data_workbench.metastore import journal
from data_workbench.records.marks import OP

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore

_NOW = "_wb_now"


@dataclass(frozen=True)
class Written:
    """Keys that were written into stores since their sets, by connection and dataset."""

    keys: Mapping[tuple[str, str], Keys] = field(default_factory=dict)
    expired: tuple[str, ...] = ()
    """Stores of whose writes the journal may have forgotten some."""


@dataclass
class Account:
    """What became of the keys of one dataset."""

    connection: str
    dataset: str
    written: int
    whole: int
    """Loads that told no keys."""
    as_written: int = 0
    moved_on: int = 0
    gone: int = 0
    unknown: int = 0


def gather(metastore: Metastore, since: Mapping[str, int | None], *, until: datetime | None) -> Written:
    """Read the journal.

    Args:
        since: by connection, the position in the journal as of the store's set; None where the set tells none.
        until: for a metastore that did not go back itself.
    """
    asked = Journal(metastore)
    positions = {name: one for name, one in since.items() if one is not None}
    found: dict[tuple[str, str], Keys] = {}
    for connection, dataset in asked.datasets(after=min(positions.values(), default=0), until=until):
        if connection in positions:
            keys = asked.touched(connection, dataset, after=positions[connection], until=until)
            if keys is not None:
                found[connection, dataset] = keys
    oldest = journal.oldest(metastore)
    return Written(found, tuple(name for name, one in sorted(positions.items()) if oldest > one + 1))


def account(metastore: Metastore, written: Written, *, after: int) -> list[dict[str, Any]]:
    """Hold what was written against what stands.

    Args:
        after: position in the journal before the pipelines compared.
    """
    asked = Journal(metastore)
    told = []
    for (connection, dataset), keys in sorted(written.keys.items()):
        one = Account(connection, dataset, keys.last.num_rows, len(keys.whole))
        standing = asked.standing(connection, dataset, after=after)
        if keys.last.num_rows:
            _count(one, keys.last, standing)
        told.append(asdict(one))
    return told


def _count(one: Account, last: pa.Table, standing: pa.Table | None) -> None:
    names = [name for name in last.column_names if name not in (OP, AFTER)]
    if standing is None or not set(names) <= set(standing.column_names):
        one.unknown = last.num_rows
        return
    now = standing.select([*names, AFTER]).rename_columns([*names, _NOW])
    now = now.cast(pa.schema([*(last.schema.field(name) for name in names), pa.field(_NOW, pa.int64())]))
    now = now.group_by(names).aggregate([(_NOW, "max")]).rename_columns({f"{_NOW}_max": _NOW})
    joined = last.join(now, keys=names, join_type="left outer")
    there, before = pc.is_valid(joined.column(_NOW)), pc.is_valid(joined.column(AFTER))
    same = pc.fill_null(pc.equal(joined.column(_NOW), joined.column(AFTER)), False)
    one.as_written = _sum(same)
    one.gone = joined.num_rows - _sum(there)
    one.unknown = _sum(pc.and_(there, pc.invert(before)))
    one.moved_on = joined.num_rows - one.as_written - one.gone - one.unknown


def _sum(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
