"""Metrics stand in the documents, and what is shipped for Prometheus and Grafana asks for real ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

DOCS = Path(__file__).resolve().parents[3] / "docs"


def families() -> dict[str, Metric]:
    """Every family by the name its samples have."""
    from data_workbench.api.services.metrics import Snapshot, _Collected

    found = _Collected(Snapshot([], [], {}, [], {}, {}, {})).collect()
    return {one.name + ("_total" if one.type == "counter" else ""): one for one in found}


def test_every_metric_is_documented_as_what_it_is() -> None:
    page = (DOCS / "user-guide" / "monitoring.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(workbench_\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert told == {name: one.type for name, one in families().items()}


def test_names_follow_the_conventions_of_prometheus() -> None:
    for name, one in families().items():
        assert re.fullmatch(r"workbench_[a-z_]+", name)
        assert one.documentation.endswith(".")
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|megabytes)(_|$)", name), "base units: seconds, bytes"


def test_the_dashboard_and_the_alerts_ask_for_metrics_that_are_told() -> None:
    dashboard = json.loads((DOCS / "monitoring" / "grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DOCS / "monitoring" / "alerts.yml").read_text(encoding="utf-8"))
    asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    named = {name for text in asked for name in re.findall(r"workbench_\w+", text)}
    assert len(named) > 10
    assert named - set(families()) == set()
    scrape = yaml.safe_load((DOCS / "monitoring" / "prometheus.yml").read_text(encoding="utf-8"))
    assert scrape["scrape_configs"][0]["metrics_path"] == "/data/metrics"
