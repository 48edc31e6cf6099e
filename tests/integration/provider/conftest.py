"""Hooks and operators outside a scheduler: Airflow reads connections from the environment, as in a worker."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def airflow_imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import Airflow once, its own warnings aside: tests take warnings as errors."""
    import os

    home: Path = tmp_path_factory.mktemp("airflow")
    os.environ.setdefault("AIRFLOW_HOME", str(home))
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.sdk import DAG, BaseHook  # noqa: F401

        from data_workbench.provider import hooks, operators  # noqa: F401
        from data_workbench.provider.operators import housekeeping, pipeline  # noqa: F401
