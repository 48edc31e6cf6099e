"""DuckDB as the engine: locked in, with bounded memory, spilling to the work folder.

Settings that matter are fixed before the configuration is locked:
- only the folders named may be read; nothing else of the file system or the network;
- one thread, and join order and build side as written: the same inputs give the same rows in the same order. DuckDB
  keeps no order over a join on several threads, and sums floats in the order in which threads finish. The batch being
  written and the batch being computed still run side by side (`ahead.py`);
- common subexpressions stay where they are: the optimizer would pull `x::int` out of `TRY(x::int)`;
- filters stay where they are: pushed down, a row's status is written out in terms of the status before it, three times
  for each step, and planning takes seconds from the eighth step on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from data_workbench.records.names import literal
from data_workbench.records.uuids import UUID5_MACROS
from data_workbench.transforms.expressions import NOW_PARAM
from data_workbench.transforms.text import variable

if TYPE_CHECKING:
    import duckdb

    from data_workbench.settings import Settings

PARAM_TYPES: Mapping[str, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "uuid": "VARCHAR",
}
"""Types of params; a uuid is text, as uuid columns are."""

LEFT_ALONE = "join_order,build_side_probe_side,common_subexpressions,filter_pushdown,filter_pullup"
FIXED = (
    "SET TimeZone = 'UTC'",
    "SET preserve_insertion_order = true",
    f"SET disabled_optimizers = '{LEFT_ALONE}'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
)
"""What every session of DuckDB is told, here and on Spark's executors: results hang on it."""


class Opener(Protocol):
    """Whatever opens an engine as `open_engine` does; many small plans can share one database this way."""

    def __call__(
        self,
        *,
        settings: Settings,
        work_folder: Path,
        params: Mapping[str, tuple[str, Any]],
        folders: Iterable[Path] = (),
        in_order: bool = True,
    ) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection for one plan, closed at its end."""


@contextmanager
def open_engine(
    *,
    settings: Settings,
    work_folder: Path,
    params: Mapping[str, tuple[str, Any]],
    folders: Iterable[Path] = (),
    in_order: bool = True,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can read `folders` and spill into the work folder, and nothing else.

    Args:
        in_order: one thread only, where more could change the order of rows.
        params: name to DuckDB type and value; read in SQL by `transforms.text.variable`.
    """
    import duckdb

    spill = work_folder / "spill"
    spill.mkdir(parents=True, exist_ok=True, mode=0o700)
    config: dict[str, Any] = {
        "memory_limit": settings.duckdb_memory,
        "threads": 1 if in_order else settings.duckdb_threads,
    }
    connection = duckdb.connect(config=config)
    try:
        connection.execute(f"SET temp_directory = {literal(str(spill))}")
        for statement in FIXED:
            connection.execute(statement)
        set_params(connection, params)
        for statement in UUID5_MACROS:
            connection.execute(statement)
        allowed = ", ".join(literal(str(folder)) for folder in sorted({str(one.resolve()) for one in folders}))
        connection.execute(f"SET allowed_directories = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def set_params(connection: duckdb.DuckDBPyConnection, params: Mapping[str, tuple[str, Any]]) -> None:
    """Give a connection the params of a plan."""
    for name, (kind, value) in params.items():
        connection.execute(f"SET VARIABLE {variable(name)} = CAST(? AS {kind})", [value])


def bindings(
    declared: Mapping[str, str], values: Mapping[str, Any], now: datetime | None
) -> dict[str, tuple[str, Any]]:
    """Declared params with their values, and the run's time, as `open_engine` takes them."""
    bound = {name: (PARAM_TYPES.get(kind, "VARCHAR"), values.get(name)) for name, kind in declared.items()}
    moment = (now or datetime.now(UTC)).astimezone(UTC).isoformat()
    return {**bound, NOW_PARAM: ("TIMESTAMPTZ", moment)}
