"""The loader: every file in `pipelines/` becomes a DAG `pipeline__<name>`, and `reconcile__<name>` where it says when.

What each does, when, who is hurt if it fails, how to triage and how to rerun stands on the DAG's own page, made from
its YAML. A broken file shows as a DAG tagged `broken` whose page lists the mistakes. Airflow parses this file often:
nothing slow is imported here, and inside a task only that task's pipeline is read.
"""

from pathlib import Path

from data_workbench.provider.dag_factory import pipeline_dags

globals().update(pipeline_dags(Path(__file__).parent / "pipelines"))
