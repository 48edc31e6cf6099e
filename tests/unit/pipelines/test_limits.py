"""A run with more rows set aside than allowed fails before anything is loaded, with the count of each rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from data_workbench.errors import ContractViolated
from data_workbench.pipelines.limits import check_quarantined
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.plan import RunPlan
from data_workbench.pipelines.planning import content_hash
from data_workbench.pipelines.staging import Stage
from data_workbench.pipelines.work import Work
from data_workbench.records.definitions import most_of

if TYPE_CHECKING:
    from tests.unit.pipelines.conftest import FileSite

# Of 200 rows two have no name and one a short one; two have no key.
NAMES = [None, None, "x", *(f"name {n}" for n in range(197))]
ROWS = pa.table({"id": [*range(198), None, None], "name": NAMES})
TEXT = """\
{pipeline}
sources: {{rows: {{connection: files, stream: rows.parquet, key: [id]}}}}
contract:
  rows:
    columns: {{name: {{required: true, min_length: 2}}}}
    {contract}
destinations: {{out: {{connection: files, file: out.jsonl, key: [id]}}}}
"""


def text(*, pipeline: str = "", contract: str = "on_invalid: quarantine") -> str:
    return TEXT.format(pipeline=pipeline, contract=contract)


def check(site: FileSite, given: str) -> None:
    """Stage, and hold the counts against the limits."""
    site.put("rows.parquet", ROWS)
    plan = RunPlan.from_json(site.plan(given).to_json())
    stage = Stage(
        plan=plan,
        context=site.context,
        base=dict.fromkeys(plan.sources),
        stores=site.stores,
        artifacts=site.artifacts,
        metastore=None,
        settings=replace(site.settings, min_free_disk=0),
    )
    work = Work(site.run_id, plan, site.stores, {}, RunOptions(), site.context.now, {})
    check_quarantined(work, stage.run(), site.artifacts)


@pytest.mark.parametrize("limit", ["5", "2.5%", "100%", "200"])
def test_as_many_as_allowed_are_no_failure(site: FileSite, limit: str) -> None:
    check(site, text(pipeline=f"max_quarantined: {limit}", contract=f"max_quarantined: {limit}"))


def test_without_a_limit_any_number_may_be_set_aside(site: FileSite) -> None:
    check(site, text())


@pytest.mark.parametrize("limit", ["4", "2.4%", "0", "0%"])
def test_more_than_the_pipeline_allows_fail_it_with_the_count_of_each_rule(site: FileSite, limit: str) -> None:
    with pytest.raises(ContractViolated) as caught:
        check(site, text(pipeline=f"max_quarantined: {limit}"))
    message = caught.value.message
    assert message.startswith(f"5 of 200 rows read were set aside (2.5 %), max_quarantined is {limit}: ")
    assert {"rows: required name: 2", "rows: min_length name: 1", "rows: key: 2"} == set(
        message.partition(f"is {limit}: ")[2].split(", ")
    )
    assert caught.value.run_id == site.run_id


def test_more_than_a_contract_allows_fail_it_likewise(site: FileSite) -> None:
    with pytest.raises(ContractViolated, match=r"5 of 200 rows of 'rows' were set aside"):
        check(site, text(contract="max_quarantined: 1%"))


def test_a_limit_does_not_decide_which_rows_stand_where(site: FileSite) -> None:
    plain, limited = (site.define(text(pipeline=one, contract=two)).spec for one, two in [
        ("", "on_invalid: quarantine"), ("max_quarantined: 1", "max_quarantined: 2%")
    ])  # fmt: skip
    assert content_hash(plain) == content_hash(limited)


def test_a_share_is_of_the_rows_and_a_number_is_not() -> None:
    assert most_of("1%", 1000) == 10
    assert most_of("0.5 %", 1000) == 5
    assert most_of(7, 1000) == 7
    assert most_of("1%", 0) == 0
