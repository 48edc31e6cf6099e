"""Joins the workbench to Airflow's own server; the work is done in the package."""

from airflow.plugins_manager import AirflowPlugin

from data_workbench.provider.health import HealthApp


class WorkbenchPlugin(AirflowPlugin):
    """The workbench's API under `/data`."""

    name = "data_workbench"
    fastapi_apps = [{"app": HealthApp(), "url_prefix": "/data", "name": "Data Workbench"}]
