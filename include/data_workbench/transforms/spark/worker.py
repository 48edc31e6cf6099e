"""What runs on the executors: a batch of columns goes to DuckDB, a column comes back.

This module is sent along with each function, so an executor needs Python with `duckdb` and `pyarrow` and nothing of
the workbench. It imports inside the functions, as its globals travel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class Work:
    """An expression of DuckDB's over columns c0, c1, …

    Args:
        sql: the expression; for a fold an aggregate over c0, c1, ….
        kinds: DuckDB types of the columns, "" where they arrive as they are.
        result: the Arrow type that is wanted, serialized with its schema.
        is_fold: the one column given is a list of structs with fields c0, c1, …, and each list is folded.
        setup: statements for a new session.
        variables: name, type and value of each variable.
    """

    sql: str
    kinds: tuple[str, ...]
    result: bytes
    is_fold: bool
    setup: tuple[str, ...]
    variables: tuple[tuple[str, str, Any], ...]


def make_function(work: Work) -> Callable[..., pa.Array]:
    """The function that Spark calls with Arrow arrays."""
    statement = _fold_statement(work) if work.is_fold else _row_statement(work)

    def compute(*arrays: pa.Array) -> pa.Array:
        import pyarrow as pa

        wanted = pa.ipc.read_schema(pa.py_buffer(work.result)).field(0).type
        names = ["l"] if work.is_fold else [f"c{index}" for index in range(len(arrays))]
        given = pa.table(list(arrays), names=names)
        if work.is_fold:
            given = given.append_column("i", pa.array(range(given.num_rows), pa.int64()))
        session = _session(work)
        session.register("given", given)
        try:
            made = session.sql(statement).to_arrow_table().column(0)
        finally:
            session.unregister("given")
        return _as(made, wanted)

    compute.__annotations__.clear()  # Spark would read them, and know none of the names
    return compute


def _row_statement(work: Work) -> str:
    columns = ", ".join(
        f"CAST(c{index} AS {kind}) AS c{index}" if kind else f"c{index}" for index, kind in enumerate(work.kinds)
    )
    return f"SELECT {work.sql} AS v FROM (SELECT {columns or '*'} FROM given)"


def _fold_statement(work: Work) -> str:
    fields = ", ".join(
        f"CAST(e.c{index} AS {kind}) AS c{index}" if kind else f"e.c{index}" for index, kind in enumerate(work.kinds)
    )
    rows = f"SELECT i{', ' if fields else ''}{fields} FROM (SELECT i, unnest(l) AS e FROM given)"
    folded = f"SELECT i, {work.sql} AS v FROM ({rows}) GROUP BY i"
    return f"SELECT v FROM given LEFT JOIN ({folded}) USING (i) ORDER BY i"


def _session(work: Work) -> duckdb.DuckDBPyConnection:
    """One session for a worker process and a set of variables; kept where all functions sent here find it."""
    import duckdb

    sessions: dict[Any, duckdb.DuckDBPyConnection] = duckdb.__dict__.setdefault("_workbench_sessions", {})
    key = (work.setup, work.variables)
    if key not in sessions:
        session = duckdb.connect(config={"threads": 1})
        for statement in work.setup:
            session.execute(statement)
        for name, kind, value in work.variables:
            session.execute(f"SET VARIABLE {name} = CAST(? AS {kind})", [value])
        session.execute("SET enable_external_access = false")
        session.execute("SET lock_configuration = true")
        sessions[key] = session
    return sessions[key]


def _as(made: pa.ChunkedArray, wanted: pa.DataType) -> pa.Array:
    import pyarrow as pa

    chunks: Sequence[pa.Array] = [
        chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in made.chunks
    ]
    if not chunks:
        return pa.array([], wanted)
    whole = pa.concat_arrays(chunks)
    return whole if whole.type.equals(wanted) else whole.cast(wanted)
