"""What Airflow's providers manager makes of the entry point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_airflow_knows_the_connection_type_and_its_form(tmp_path: Path) -> None:
    script = (
        "import json\n"
        "from airflow.providers_manager import ProvidersManager\n"
        "found = ProvidersManager()\n"
        "hook = found.hooks['workbench_files']\n"
        "form = found.field_behaviours['workbench_files']\n"
        "api = [name for name in found.connection_form_widgets if 'workbench_rest' in name or 'graphql' in name]\n"
        "widgets = [name for name in found.connection_form_widgets if 'workbench_files' in name]\n"
        "from data_workbench.connectors.registry import CONNECTORS\n"
        "ours = {kind: found.hooks[kind].hook_name for kind in CONNECTORS}\n"
        "print('@@' + json.dumps([ours, hook.hook_name, form, api, widgets, 'odras-data-workbench' in found.providers,"
        " found.hooks['postgres'].package_name]))\n"
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ours, name, form, api, widgets, known, postgres = json.loads(done.stdout.rpartition("@@")[2])
    assert known
    assert all(ours.values())
    assert name == "Files (workbench)"
    assert form["relabeling"]["host"] == "Root"
    assert {"extra__workbench_rest__token_url", "extra__workbench_graphql__introspection"} <= set(api)
    assert widgets == ["extra__workbench_files__storage_options"]
    assert postgres == "apache-airflow-providers-postgres"
