"""Joins the workbench to Airflow's own server; the work is done in the package."""

from airflow.plugins_manager import AirflowPlugin

from data_workbench.api.app import WorkbenchApp
from data_workbench.api.conf import ConfGuard
from data_workbench.api.log_keeper import LogKeeper


class WorkbenchPlugin(AirflowPlugin):
    """The workbench's API under `/data`, and its pages under Browse."""

    name = "data_workbench"
    fastapi_apps = [{"app": WorkbenchApp(), "url_prefix": "/data", "name": "Data Workbench"}]
    fastapi_root_middlewares = [
        {"middleware": ConfGuard, "name": "Confs of pipelines"},
        {"middleware": LogKeeper, "name": "Airflow's event log into the audit trail"},
    ]
    external_views = [
        {
            "name": "Connections",
            "href": "/data/pages/connections",
            "destination": "nav",
            "category": "browse",
            "url_route": "workbench-connections",
        },
        {
            "name": "Pipelines",
            "href": "/data/pages/pipelines",
            "destination": "nav",
            "category": "browse",
            "url_route": "workbench-pipelines",
        },
        {
            "name": "Lineage",
            "href": "/data/pages/lineage",
            "destination": "nav",
            "category": "browse",
            "url_route": "workbench-lineage",
        },
        {
            "name": "Quality",
            "href": "/data/pages/quality",
            "destination": "nav",
            "category": "browse",
            "url_route": "workbench-quality",
        },
        {
            "name": "Audit",
            "href": "/data/pages/audit",
            "destination": "nav",
            "category": "browse",
            "url_route": "workbench-audit",
        },
        {
            "name": "Backups",
            "href": "/data/pages/backups",
            "destination": "nav",
            "category": "browse",
            "url_route": "workbench-backups",
        },
        {
            "name": "Archives",
            "href": "/data/pages/archives",
            "destination": "nav",
            "category": "browse",
            "url_route": "workbench-archives",
        },
    ]
