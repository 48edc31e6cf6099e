"""Airflow's side of the workbench: connection types, hooks, operators and the YAML to DAG loader.

`get_provider_info` is what Airflow reads through the `apache_airflow_provider` entry point; it must import
nothing from Airflow, which calls it while its own configuration is still being built.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Describe this distribution to Airflow's providers manager."""
    return {
        "package-name": "odras-data-workbench",
        "name": "ODRAS Data Workbench",
        "description": "Pipelines, reconciliation and recovery over PostgreSQL, Neo4j, Qdrant and files.",
        "versions": ["0.1.0"],
    }
