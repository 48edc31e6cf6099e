"""20,000 rows of which exactly 200 are bad: 19,800 land, 200 are held with exact reasons, and a replay lands each once.

The same at a million: `python -m tests.bench --only quarantine`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.bench.quarantine import expected, pipeline, table

from data_workbench.errors import UsageError
from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

ROWS = 20_000


def test_what_is_bad_is_held_for_its_reasons_and_lands_once_when_the_rules_are_mended(site: Site) -> None:
    site.sql(table(ROWS))
    document = site.run(pipeline("pg"))
    assert document["sources"]["spoiled"] == {
        "read": ROWS, "out": 19_800, "deduplicated": 0, "discarded": 0, "quarantined": 200
    }  # fmt: skip
    assert document["destinations"]["there"]["inserted"] == 19_800
    records = site.quarantined("bench_spoiled")
    assert len(records) == 200
    assert Counter(rule for one in records for rule in one["rules"]) == expected(ROWS)
    for one in records:
        assert one["key"] == {"id": one["row"]["id"]}
        assert one["reason"]
    bad = {one["row"]["id"] for one in records}
    assert bad == {number for number in range(1, ROWS + 1) if number % 100 == 0}
    assert site.one("SELECT count(*) FROM spoiled_copied WHERE id % 100 = 0") == 0

    again = site.run(pipeline("pg"))
    assert again["destinations"]["there"]["unchanged"] == 19_800
    assert len(site.quarantined("bench_spoiled")) == 200, "held again, not twice"

    mended, upkeep = site.definition(pipeline("pg", has_rules=False)), Upkeep(site.runner())
    document, error = upkeep.replay(mended, [], params={})
    assert error is None
    assert document["sources"]["spoiled"]["read"] == 200
    assert document["destinations"]["there"]["inserted"] == 200
    assert site.sql("SELECT count(*), count(DISTINCT id) FROM spoiled_copied") == [(ROWS, ROWS)]
    assert site.sql("TABLE spoiled EXCEPT TABLE spoiled_copied") == []
    assert site.quarantined("bench_spoiled") == []
    assert len(site.quarantined("bench_spoiled", state="replayed")) == 200
    with pytest.raises(UsageError, match="nothing to replay"):
        upkeep.replay(mended, [], params={})
