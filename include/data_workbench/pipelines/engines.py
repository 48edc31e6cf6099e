"""Which engine computes the steps of a pipeline: DuckDB in the process, or Spark.

Which one it is changes no row, so a pipeline's content hash leaves it out, and it may be changed between runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.language.spec import Engine, Pipeline

if TYPE_CHECKING:
    from data_workbench.settings import Settings
    from data_workbench.transforms.engine import Opener
    from data_workbench.transforms.plan import TransformPlan


def engine_of(spec: Pipeline) -> dict[str, Any]:
    """The engine as a plan keeps it; empty for DuckDB."""
    chosen = spec.engine if isinstance(spec.engine, Engine) else Engine(name=spec.engine)
    if chosen.name == "duckdb":
        return {}
    return {"name": chosen.name, "master": chosen.master, "options": dict(chosen.options)}


def require_engine(engine: Mapping[str, Any], transform: TransformPlan) -> None:
    """Refuse steps that the engine does not compute as DuckDB does.

    Raises:
        TransformError: with the step and the expression.
    """
    if engine:
        from data_workbench.transforms.spark.rehearsal import rehearse

        rehearse(transform)


def opener_of(engine: Mapping[str, Any], settings: Settings) -> Opener:
    """What opens the engine of a plan."""
    from data_workbench.transforms.engine import open_engine

    if not engine:
        return open_engine
    from data_workbench.transforms.spark.engine import spark_opener
    from data_workbench.transforms.spark.session import SparkTarget

    options = {name: _written(value) for name, value in engine["options"].items()}
    return spark_opener(SparkTarget(engine["master"] or settings.spark_master, options))


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
