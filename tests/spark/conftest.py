"""Spark in this process: two threads, small shuffles, and none of what only pays for many rows."""

from __future__ import annotations

import pytest

from data_workbench.transforms.spark.session import SparkTarget


@pytest.fixture(scope="session")
def spark() -> SparkTarget:
    """Where tests run."""
    options = {
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.adaptive.enabled": "false",
        "spark.driver.memory": "1g",
    }
    return SparkTarget("local[2]", options)
