"""Airflow's side of the workbench: connection types, hooks, operators and the YAML to DAG loader.

`get_provider_info` is what Airflow reads through the `apache_airflow_provider` entry point; it must import nothing from
Airflow, which calls it while its own configuration is still being built. Read `dag_factory.py` first (a YAML file to a
DAG), then `operators/pipeline.py` (a task to a stage of the engine) and `local.py` (Airflow on this machine).
"""

from __future__ import annotations

from typing import Any

from data_workbench.provider.forms import extra_fields, store_types

_FILES_FIELDS: dict[str, Any] = {
    "storage_options": {
        "label": "Storage options",
        "schema": {
            "type": ["object", "null"],
            "description": "Options of the file system, as fsspec takes them: endpoint_url, anon, …",
        },
    },
}
_FILES_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema", "port"],
    "relabeling": {"host": "Root", "login": "Access key", "password": "Secret key"},
    "placeholders": {"host": "file:///data or s3://bucket/folder"},
}
_WEBHOOK_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema", "port", "login", "extra"],
    "relabeling": {"host": "URL", "password": "Signing secret"},
    "placeholders": {"host": "https://example.org/alerts", "password": "whsec_…"},
}
_API_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema", "port"],
    "relabeling": {
        "host": "Base URL",
        "login": "User or client id",
        "password": "Password, token, key or client secret",
    },
    "placeholders": {"host": "https://api.example.org/v1"},
}


def get_provider_info() -> dict[str, Any]:
    """Describe this distribution to Airflow's providers manager."""

    return {
        "package-name": "odras-data-workbench",
        "name": "ODRAS Data Workbench",
        "description": "Pipelines, reconciliation and recovery over PostgreSQL, Neo4j, Qdrant and files.",
        "versions": ["0.1.0"],
        "integrations": [{"integration-name": "Data Workbench", "tags": ["software"]}],
        "hooks": [{"integration-name": "Data Workbench", "python-modules": ["data_workbench.provider.hooks"]}],
        "operators": [
            {
                "integration-name": "Data Workbench",
                "python-modules": [
                    "data_workbench.provider.operators.pipeline",
                    "data_workbench.provider.operators.housekeeping",
                ],
            }
        ],
        # Types that others own (postgres, neo4j, qdrant) stay theirs.
        "connection-types": [
            {
                "connection-type": "workbench_files",
                "hook-class-name": "data_workbench.provider.hooks.FilesHook",
                "hook-name": "Files (workbench)",
                "conn-fields": _FILES_FIELDS,
                "ui-field-behaviour": _FILES_BEHAVIOUR,
            },
            {
                "connection-type": "workbench_rest",
                "hook-class-name": "data_workbench.provider.hooks.RestHook",
                "hook-name": "REST API (workbench)",
                "conn-fields": extra_fields("workbench_rest"),
                "ui-field-behaviour": _API_BEHAVIOUR,
            },
            {
                "connection-type": "workbench_graphql",
                "hook-class-name": "data_workbench.provider.hooks.GraphqlHook",
                "hook-name": "GraphQL API (workbench)",
                "conn-fields": extra_fields("workbench_graphql"),
                "ui-field-behaviour": _API_BEHAVIOUR,
            },
            {
                "connection-type": "workbench_webhook",
                "hook-class-name": "data_workbench.provider.hooks.WebhookHook",
                "hook-name": "Webhook for alerts (workbench)",
                "ui-field-behaviour": _WEBHOOK_BEHAVIOUR,
            },
            *store_types(),
        ],
    }
