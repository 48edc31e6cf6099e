"""The shipped pipelines over a seeded ODRAS, twice: the second run changes nothing, and everything compares equal.

Those of the demo, which runs them whole and through Airflow, are run once here, over some rows and without the model.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.language.definition import parse_definition
from data_workbench.language.rule_files import is_pipeline_file
from data_workbench.pipelines.checks import load_checked
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.reconcile import Remedy
from data_workbench.pipelines.upkeep import Upkeep
from odras_demo.demo import PIPELINES as IN_THE_DEMO

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

FOLDER = Path(__file__).resolve().parents[3] / "dags" / "pipelines"
WRITTEN: dict[str, dict[str, int]] = {
    "event_archive": {"archive": 20_000},
    "individuals": {"rdf": 80},
    "people_export": {"file": 1},
    "projects": {"graph": 11},
    "requirement_quality": {"table": 5, "file": 5},
    "requirement_tables": {"copies": 1_000},
    "tenants_export": {"file": 2},
}
"""At least so many rows come of the first run."""
ELSEWHERE = {"lineage_graph"}
"""Run in a test of its own: each run of one adds to what the next finds (test_lineage_projection.py)."""
WITH_A_FULL_COMPARISON = ("individuals", "projects", "requirement_tables")


@pytest.fixture
def odras(site: Site, fuseki: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A seeded installation, and a Fuseki beside it."""
    from odras_demo.seed import seed

    site.sql("DROP SCHEMA IF EXISTS reporting CASCADE")
    seed(site.dsn, size=1, reset=True)
    monkeypatch.setenv("AIRFLOW_CONN_ODRAS_FUSEKI", json.dumps({"conn_type": "workbench_rdf", "host": fuseki}))
    return site


def test_every_shipped_pipeline_is_run_here_or_in_the_demo() -> None:
    shipped = {path.stem for path in FOLDER.glob("*") if is_pipeline_file(path)}
    assert shipped == {*WRITTEN, *IN_THE_DEMO, *ELSEWHERE}
    assert len(shipped) >= 10


def test_the_shipped_pipelines_bring_rows_and_change_nothing_when_run_again(odras: Site) -> None:
    for name, least in WRITTEN.items():
        first = _run(odras, name)
        told = {one: counts["inserted"] for one, counts in first["destinations"].items()}
        assert all(told[one] >= rows for one, rows in least.items()), (name, told)
        second = _run(odras, name)
        for counts in second["destinations"].values():
            assert counts["updated"] == counts["deleted"] == 0, name
        if name not in WITH_A_FULL_COMPARISON:
            continue
        runner = odras.runner()
        definition = load_checked(FOLDER / f"{name}.yaml", settings=runner.settings)
        answer = Upkeep(runner).reconcile_in_full(definition, params={}, remedy=Remedy())
        assert answer["clean"] is not False, (name, answer)
    _hides_what_opens_doors(odras)


def test_the_pipelines_of_the_demo_bring_rows_to_all_their_stores(odras: Site) -> None:
    from odras_demo.sources import prepare_files

    prepare_files(odras.files)
    for name in IN_THE_DEMO:
        text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").replace("all-MiniLM-L6-v2", "hashing-384")
        definition = parse_definition(text, settings=odras.settings, folder=FOLDER)
        document, error = odras.runner().run(definition, params={}, options=RunOptions(limit=300))
        assert error is None, (name, error, document)
        assert document["reconciliation"]["clean"], name
        told = {one: counts["inserted"] for one, counts in document["destinations"].items()}
        assert all(count > 0 for count in told.values()), (name, told)


def _run(site: Site, name: str) -> dict[str, Any]:
    runner = site.runner()
    document, error = runner.run(load_checked(FOLDER / f"{name}.yaml", settings=runner.settings), params={})
    assert error is None, (name, error, document)
    assert document["reconciliation"]["clean"] is not False, (name, document["reconciliation"])
    return document


def _hides_what_opens_doors(site: Site) -> None:
    [(secret,)] = site.sql("SELECT password_hash FROM users WHERE password_hash IS NOT NULL LIMIT 1")
    [(shown,)] = site.sql("SELECT display_name FROM users WHERE is_active ORDER BY length(display_name) DESC LIMIT 1")
    people = (site.files / "exports" / "people.csv").read_text()
    assert people.count("\n") > 1
    assert secret not in people
    assert shown not in people


def test_the_shipped_contracts_find_what_was_planted_in_each_store_and_nothing_else(odras: Site) -> None:
    import psycopg

    from data_workbench.connectors.connections import Connections, from_environment
    from data_workbench.pipelines.contracts import Contracts
    from odras_demo.seed import plant_nodes, plant_points, planted_faults

    with psycopg.connect(odras.dsn) as connection:
        planted = [*plant_points(odras.points, connection), *planted_faults(), *plant_nodes(odras.graph)]
    settings = replace(odras.settings, contracts=FOLDER.parent / "contracts", pipelines=FOLDER)
    contracts = Contracts(settings, Connections(from_environment), odras.metastore)
    results = contracts.check(contracts.find(None))
    assert [(one["contract"], one["reason"]) for one in results if one["outcome"] == "not_evaluated"] == []
    found = {(one["contract"], one["name"]): one["failing"] for one in results if one["failing"]}

    def count(rule: int, table: str, word: str = "") -> int:
        return sum((one.rule, one.table) == (rule, table) and word in one.description for one in planted)

    [[unsearched]] = odras.sql(
        "SELECT count(*) FROM knowledge_chunks k WHERE NOT EXISTS (SELECT FROM das_knowledge_chunks d "
        "WHERE d.knowledge_type = 'project' AND d.metadata ->> 'original_chunk_id' = k.id::text)"
    )
    # Of the other ingest no point is seeded; one more is planted.
    [[unpointed]] = odras.sql("SELECT count(*) FROM knowledge_chunks WHERE qdrant_point_id IS NOT NULL")
    assert found == {
        ("odras_chunks", "each passage has its point"): count(1, "doc_chunk"),
        # The three points of rule 3 have no passage behind them, either.
        ("odras_chunks", "each point has its passage"): count(1, "knowledge_chunks") + count(3, "knowledge_chunks"),
        ("odras_knowledge", "the passage it was made of"): count(2, "knowledge_chunks", "doc_chunk_id"),
        ("odras_knowledge", "its point"): unpointed,
        ("odras_points", "its project"): 1,
        ("odras_points", "its asset"): 1,
        ("odras_assets", "its project"): count(3, "knowledge_assets"),
        ("odras_file_bytes", "hash and length"): count(4, "files", "is not the"),
        ("odras_das", "every passage can be searched"): unsearched,
        ("odras_files", "its project"): count(3, "files"),
        ("odras_das", "its original"): count(7, "das_knowledge_chunks", "names no chunk"),
        ("odras_das", "the text of its original"): count(7, "das_knowledge_chunks", "not its original's")
        + count(7, "das_knowledge_chunks", "second copy"),
        ("odras_das", "unique original"): 2 * count(7, "das_knowledge_chunks", "second copy"),
        ("odras_threads", "its project"): count(8, "project_thread"),
        ("odras_documents", "its project"): count(8, "doc"),
        ("odras_documents", "type project_id"): count(8, "doc", "the word"),
        ("odras_messages", "its project"): count(8, "chat_message"),
        ("odras_messages", "type project_id"): count(8, "chat_message", "the word"),
        ("odras_requirement_nodes", "its row"): count(9, "Requirement"),
        ("odras_imported", "text and version of its original"): count(10, "requirements_enhanced"),
    }
