"""Steps as one statement that a database computes by itself, from its own tables into one of them.

Each node is a query of that statement whose rows carry a status: 0 goes on, a code has left the run, a code beyond
RETRACTS has left it and takes its key back. Counts are the statuses of the nodes at which a flow of rows ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

STATUS: Final = "_wb_status"
PARAMS: Final = "_wb_params"
"""The query whose one row has a run's params; whoever runs the statement puts it before the others."""
RETRACTS: Final = 1 << 20


class NotPushed(Exception):
    """Why PostgreSQL is not asked: what is written might mean something else there than in DuckDB. Its words are shown.

    Raised where SQL is written for both: for `where` of sources and for steps.
    """


@dataclass(frozen=True)
class PushedStatement:
    """What a database is asked.

    Args:
        queries: name and SQL of each node, in order; later ones read earlier ones.
        last: the query whose rows go to the destination.
        columns: name and type of what `last` gives beside the status.
        ends: queries at which rows are counted by status.
        retracts: whether rows of `last` may take back their keys.
        params: name and type of the params that the queries read.
    """

    queries: tuple[tuple[str, str], ...]
    last: str
    columns: tuple[tuple[str, str], ...]
    ends: tuple[str, ...]
    retracts: bool = False
    params: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form stored with a plan."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        pairs = {name: tuple((one[0], one[1]) for one in data[name]) for name in ("queries", "columns")}
        return cls(**{**data, **pairs, "ends": tuple(data["ends"])})


StatusCounts = Mapping[str, Mapping[int, int]]
"""For each query at which rows are counted: rows by status."""
