"""What every DAG of the repository owes its operators, and what parsing it may cost."""

from __future__ import annotations

import pytest
from tests.unit.provider.conftest import REPOSITORY, Parsed

from data_workbench.language.rule_files import is_pipeline_file
from data_workbench.provider.tags import Tag

pytestmark = pytest.mark.slow

HEAVY = {
    "duckdb",
    "pyarrow",
    "sqlglot",
    "neo4j",
    "qdrant_client",
    "pandas",
    "numpy",
    "soda_core",
    "onnxruntime",
    "psycopg",
}


def test_every_shipped_pipeline_is_a_dag(parsed: Parsed) -> None:
    names = {path.stem for path in (REPOSITORY / "dags" / "pipelines").glob("*") if is_pipeline_file(path)}
    assert {f"pipeline__{name}" for name in names} <= set(parsed.shipped)
    housekeeping = {"check_connections", "clean_artifacts", "backup_stores", "verify_backups", "ship_log"}
    housekeeping |= {"check_quality", "watch_backups", "watch_changes", "watch_archives"}
    assert {*housekeeping, "archive_expired", "compact_archives", "verify_archives"} <= set(parsed.shipped)
    assert not [dag_id for dag_id, dag in parsed.shipped.items() if Tag.BROKEN in dag["tags"]]


def test_every_dag_says_whose_it_is_and_what_to_do(parsed: Parsed) -> None:
    kinds = {tag.value for tag in Tag}
    for dag_id, dag in parsed.shipped.items():
        assert kinds & set(dag["tags"]), dag_id
        assert dag["catchup"] is False, dag_id
        assert dag["max_active_runs"] == 1, dag_id
        doc = dag["doc"].lower()
        assert all(word in doc for word in ("**when**", "who is hurt", "rerun")), dag_id
        assert "triage" in doc or "when it fails" in doc, dag_id
        for task_id, task in dag["tasks"].items():
            assert task["retries"] >= 1, (dag_id, task_id)
            assert task["owner"] not in ("", "airflow"), (dag_id, task_id)


def test_destinations_load_side_by_side_between_stage_and_reconcile(parsed: Parsed) -> None:
    tasks = parsed.shipped["pipeline__cwe"]["tasks"]
    loads = sorted(name for name in tasks if name.startswith("load."))
    assert loads == ["load.graph", "load.relation_table", "load.vectors", "load.weakness_table"]
    assert all(tasks[name]["upstream"] == ["stage"] for name in loads)
    assert tasks["reconcile"]["upstream"] == loads
    assert tasks["load.weakness_table"]["outlets"] == ["odras_postgres:public.cwe_weaknesses"]
    assert "odras_neo4j:[:CHILD_OF]" in tasks["load.graph"]["outlets"]


def test_a_full_reconciliation_has_a_dag_of_its_own(parsed: Parsed) -> None:
    dag = parsed.shipped["reconcile__cwe"]
    assert dag["schedule"] == "0 4 * * 0"
    assert dag["params"]["repair"]["default"] is False
    assert list(dag["tasks"]) == ["reconcile_in_full"]


def test_parsing_imports_nothing_slow(parsed: Parsed) -> None:
    assert not HEAVY & parsed.modules


def test_inside_a_task_only_its_own_pipeline_is_parsed(parsed: Parsed) -> None:
    assert set(parsed.again) == set(parsed.in_reconcile) == {"pipeline__requirements", "reconcile__requirements"}


def test_a_parse_in_another_process_gives_the_same_dag_to_the_letter(parsed: Parsed) -> None:
    for dag_id, dag in parsed.again.items():
        assert dag == parsed.shipped[dag_id]
