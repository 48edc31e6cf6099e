"""An event that breaks OpenLineage's schemas is told by its path; what is foreign but allowed passes."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from data_workbench.lineage.validation import DEEPEST, LONGEST_NAME, findings

OF_SPARK = "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/integration/spark"
FACETS = "https://openlineage.io/spec/facets"
EVENT: dict[str, Any] = {
    "eventType": "COMPLETE",
    "eventTime": "2026-11-23T16:30:00.123456789Z",
    "producer": OF_SPARK,
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    "run": {"runId": "0190e7b5-6a34-7d1e-8d2c-3f1c5a6b7c8d", "facets": {}},
    "job": {"namespace": "spark", "name": "word_count", "facets": {}},
    "inputs": [{"namespace": "s3://in", "name": "words"}],
    "outputs": [
        {
            "namespace": "s3://out",
            "name": "counts",
            "facets": {
                "schema": {
                    "_producer": OF_SPARK,
                    "_schemaURL": f"{FACETS}/1-1-1/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
                    "fields": [{"name": "word", "type": "string"}],
                },
                "spark_logicalPlan": {"_producer": OF_SPARK, "_schemaURL": "https://spark/x.json", "plan": [1, {}]},
            },
        }
    ],
}


OLD = {"_producer": OF_SPARK, "_schemaURL": "https://openlineage.io/spec/1-0-1/OpenLineage.json#/definitions/RunFacet"}
PARENT = {"namespace": "spark", "name": "all"}


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    made: Any = copy.deepcopy(EVENT)
    place = made
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return dict(made)


SCHEMA = ["outputs", 0, "facets", "schema"]


def test_a_foreign_event_with_an_older_and_an_unknown_facet_is_valid() -> None:
    assert findings(EVENT) == []
    assert findings(changed(["eventTime"], "2021-11-03T10:53:52.427343")) == [], "as in OpenLineage's own examples"
    assert findings(changed(["eventType"], ...)) == []
    named_otherwise = {**OLD, "run": {"runId": "seven"}, "job": PARENT}
    assert findings(changed(["run", "facets", "parent"], named_otherwise)) == [], "held to its shape alone"


@pytest.mark.parametrize("place", ["file", "dbfs", "bigquery", "jdbc:sqlserver://h:1;databaseName=x y"])
def test_a_data_source_is_called_as_spark_and_dbt_call_theirs(place: str) -> None:
    kind = "DatasourceDatasetFacet"
    told = {"_producer": OF_SPARK, "_schemaURL": f"{FACETS}/1-0-0/{kind}.json#/$defs/{kind}", "name": place}
    assert findings(changed(["inputs", 0, "facets"], {"dataSource": {**told, "uri": place}})) == []
    [found] = findings(changed(["inputs", 0, "facets"], {"dataSource": {**told, "uri": 7}}))
    assert found.path == "$.inputs[0].facets.dataSource.uri"


def test_events_of_datasets_and_of_jobs_are_valid() -> None:
    common = {key: EVENT[key] for key in ("eventTime", "producer", "schemaURL")}
    assert findings({**common, "dataset": EVENT["outputs"][0]}) == []
    assert findings(changed(["dataset"], {"name": "beside a job it is no word of the spec"})) == []
    assert findings({**common, "job": EVENT["job"], "inputs": EVENT["inputs"], "outputs": []}) == []


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (["run", "runId"], "seven", "$.run.runId"),
        (["run", "runId"], 7, "$.run.runId"),
        (["run"], ["x"], "$.run"),
        (["job", "name"], ..., "$.job"),
        (["eventTime"], "yesterday", "$.eventTime"),
        (["eventTime"], "2026-02-30T00:00:00Z", "$.eventTime"),
        (["eventTime"], "9999-12-31T23:59:59-23:00", "$.eventTime"),
        (["eventTime"], "0001-01-01T00:00:00+14:00", "$.eventTime"),
        (["eventTime"], ..., "$"),
        (["eventType"], "STARTED", "$.eventType"),
        (["producer"], "someone", "$.producer"),
        (["inputs", 0, "name"], None, "$.inputs[0].name"),
        (["inputs"], {"namespace": "x"}, "$.inputs"),
        (["inputs", 0, "name"], "x" * (LONGEST_NAME + 1), "$.inputs[0].name"),
        ([*SCHEMA, "_producer"], ..., "$.outputs[0].facets.schema"),
        ([*SCHEMA, "fields"], [{"type": "string"}], "$.outputs[0].facets.schema.fields[0]"),
        (["outputs", 0, "facets", "spark_logicalPlan"], 1, "$.outputs[0].facets.spark_logicalPlan"),
        ([*SCHEMA, "_schemaURL"], f"{FACETS}/1-0-0/SQLJobFacet.json", "$.outputs[0].facets.schema._schemaURL"),
        (["run", "facets", "parent"], {**OLD, "run": {}, "job": PARENT}, "$.run.facets.parent.run"),
        (["job", "facets", "ownership"], {**OLD, "owners": [{}]}, "$.job.facets.ownership.owners[0]"),
        (["outputs", 0, "outputFacets"], {"outputStatistics": {**OLD, "rowCount": "x"}},
         "$.outputs[0].outputFacets.outputStatistics.rowCount"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_its_path(path: list[Any], value: Any, told: str) -> None:
    assert told in [one.path for one in findings(changed(path, value))]


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, {"eventTime": 1}])
def test_what_is_no_event_at_all_is_told_at_the_root(value: Any) -> None:
    [first, *_] = findings(value)
    assert first.path == "$"


def test_an_event_that_nests_deeper_than_anybody_reads_is_told_where() -> None:
    def plan(levels: int) -> dict[str, Any]:
        deep: Any = 1
        for _ in range(levels):
            deep = [deep]
        return {"_producer": OF_SPARK, "_schemaURL": "https://spark/x.json", "plan": deep}

    assert findings(changed(["run", "facets"], {"plan": plan(150)})) == []
    for levels in (250, 600, 900):
        [found] = findings(changed(["run", "facets"], {"plan": plan(levels)}))
        assert (found.path, found.message) == ("$.run", f"nests deeper than {DEEPEST} levels")


@pytest.mark.parametrize("custom", [{"said": ["fine", "half \ud800"]}, {"half \udfff": 1}])
def test_half_a_character_is_told_where(custom: dict[str, Any]) -> None:
    [found] = findings(changed(["run", "facets"], {"x": {**OLD, **custom}}))
    assert (found.path, found.message) == ("$.run", "holds half of a surrogate pair, which is no character")


def test_a_thousand_mistakes_are_told_as_a_few() -> None:
    assert len(findings(changed(["inputs"], [{}] * 1000))) <= 20
    assert len(json.dumps([vars(one) for one in findings(changed(["eventType"], "x" * 100_000))])) < 1_000
