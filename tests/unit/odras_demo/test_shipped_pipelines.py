from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from data_workbench.language.spec import Pipeline
from data_workbench.transforms.expressions import check_expression

FOLDER = Path(__file__).resolve().parents[3] / "dags" / "pipelines"
SHIPPED = ("cwe", "flights", "knowledge_chunks", "requirements")
DAS_PAYLOAD = {
    "chunk_id", "knowledge_type", "domain", "asset_id", "file_id", "collection_id", "chunk_index", "source_type",
    "document_type", "title", "embedding_model", "sql_first", "project_id",
}  # fmt: skip


def load(name: str) -> Pipeline:
    return Pipeline.model_validate(YAML(typ="safe", pure=True).load((FOLDER / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_pipeline_speaks_the_language_and_the_known_connections(name: str) -> None:
    spec = load(name)
    assert spec.pipeline == name
    used = {part.connection for part in (*spec.sources.values(), *spec.destinations.values())}
    assert used <= {"odras_postgres", "odras_neo4j", "odras_qdrant", "workbench_files"}
    assert spec.description
    assert spec.owner


@pytest.mark.parametrize("name", SHIPPED)
def test_every_input_names_a_source_or_an_earlier_step(name: str) -> None:
    spec = load(name)
    known = set(spec.sources)
    for step in spec.steps:
        assert step.input is None or step.input in known, step.name
        assert step.join is None or step.join.with_ in known, step.name
        known.add(step.name)
    for destination in spec.destinations.values():
        named = [destination, *destination.nodes, *destination.relationships]
        assert {part.input for part in named if part.input} <= known
    assert set(spec.contract) <= known


@pytest.mark.parametrize("name", SHIPPED)
def test_every_expression_passes_the_checker(name: str) -> None:
    spec = load(name)
    params = {key: param.type for key, param in spec.params.items()}
    plain = [source.where for source in spec.sources.values() if source.where]
    plain += [step.filter for step in spec.steps if step.filter]
    plain += [sql for step in spec.steps for sql in (step.derive or {}).values()]
    folded = [sql for step in spec.steps if step.aggregate for sql in step.aggregate.take.values()]
    for sql in plain:
        check_expression(sql, columns=None, params=params)
    for sql in folded:
        check_expression(sql, columns=None, params=params, allow_aggregates=True)


def test_knowledge_points_carry_the_payload_that_odras_searches_by_and_no_text() -> None:
    payload = load("knowledge_chunks").destinations["das_vectors"].payload
    assert payload is not None
    assert set(payload) == DAS_PAYLOAD
