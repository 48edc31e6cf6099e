"""The shipped pipelines over a seeded ODRAS, twice: the second run changes nothing, and everything compares equal.

Those of the demo, which runs them whole and through Airflow, are run once here, over some rows and without the model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.pipelines.checks import load_checked
from data_workbench.pipelines.definition import parse_definition
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.reconcile import Remedy
from data_workbench.pipelines.rule_files import is_pipeline_file
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
    assert shipped == {*WRITTEN, *IN_THE_DEMO}
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
