"""Reading in ranges: the same rows in the same order as in one, the same position, and nothing of it left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from data_workbench.artifacts import ArtifactStore, Manifest
from data_workbench.artifacts.checksum import content_checksum
from data_workbench.connectors.postgres import partitions
from data_workbench.errors import Unsupported

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

ROWS = 30_000
PIPELINE = """
version: 1
pipeline: ranged
engine: {{name: duckdb, push_down: false}}
sources: {{rows: {{connection: pg, stream: public.rows, key: id{more}}}}}
steps: [{{name: kept, filter: "id % 7 <> 0"}}]
destinations: {{out: {{connection: pg, table: public.rows_copy, key: id}}}}
"""


@pytest.fixture(autouse=True)
def rows(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table whose rows do not stand in the order of their keys."""
    monkeypatch.setattr(partitions, "LEAST_PAGES", 16)
    site.sql("CREATE TABLE rows (id int PRIMARY KEY, name text, seen int)")
    site.sql(f"INSERT INTO rows SELECT n * 7919 % {ROWS}, 'row ' || n, n FROM generate_series(1, {ROWS}) n")


def landed(site: Site, run_id: str) -> Manifest:
    found = ArtifactStore(site.settings).find("ranged", run_id, "source.rows")
    assert found is not None
    return found


def content(manifest: Manifest) -> pa.Table:
    return pa.Table.from_batches(list(manifest.iter_batches()), schema=manifest.schema)


def test_what_lands_is_what_one_read_lands_in_the_same_order(site: Site) -> None:
    alone = site.run(PIPELINE.format(more=""))
    ranged = site.run(PIPELINE.format(more=", parallel: 4"))
    one, several = landed(site, alone["run_id"]), landed(site, ranged["run_id"])
    assert {part.file.partition("-part")[0] for part in several.parts} == {f"lane-{number:03d}" for number in range(4)}
    assert content(several).equals(content(one))
    assert content_checksum(several) == content_checksum(one)
    assert ranged["sources"] == alone["sources"]
    assert ranged["steps"] == alone["steps"]
    counts = ranged["destinations"]["out"]
    assert (counts["unchanged"], counts["inserted"]) == (site.one("SELECT count(*) FROM rows WHERE id % 7 <> 0"), 0)


def test_the_cursor_goes_on_from_the_moment_all_ranges_saw(site: Site) -> None:
    text = PIPELINE.format(more=", cursor: {column: seen}, parallel: 3")
    first = site.run(text)
    assert len(landed(site, first["run_id"]).parts) == 3
    assert landed(site, first["run_id"]).extra["position"]["watermark"] == str(ROWS)
    assert not landed(site, first["run_id"]).extra["position"]["unsettled"], "our own snapshot is not another's"
    site.sql(f"INSERT INTO rows VALUES ({ROWS + 1}, 'late', {ROWS + 1})")
    second = site.run(text)
    assert second["destinations"]["out"]["inserted"] == 1
    assert second["sources"]["rows"]["read"] == 2, "the row at the watermark comes again, nothing else"


def test_how_rows_are_fetched_changes_no_state(site: Site) -> None:
    site.run(PIPELINE.format(more=", cursor: {column: seen}"))
    again = site.run(PIPELINE.format(more=", cursor: {column: seen}, parallel: 2"))
    assert again["sources"]["rows"]["read"] == 1


def test_a_failure_in_one_range_ends_the_run_and_leaves_nothing(site: Site) -> None:
    site.sql("CREATE TABLE doubtful (id int PRIMARY KEY, span numeric(4,1), filler text)")
    site.sql("INSERT INTO doubtful SELECT n, n % 9, repeat('x', 100) FROM generate_series(1, 10000) n")
    site.sql("UPDATE doubtful SET span = 'NaN' WHERE id = 9999")
    text = PIPELINE.format(more=", parallel: 3").replace("public.rows,", "public.doubtful,")
    document, error = site.try_run(text)
    assert error is not None
    assert "span" in error.message
    assert document["state"] == "failed"
    assert ArtifactStore(site.settings).find("ranged", document["run_id"], "source.rows") is None
    held = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%pg_partition_tree%'"
    )
    assert site.one(held) == 0


def test_a_store_that_cannot_split_a_read_is_refused(site: Site) -> None:
    text = PIPELINE.format(more=", parallel: 2").replace(
        "connection: pg, stream: public.rows", "connection: graph, stream: Row"
    )
    site.cypher("CREATE (:Row {id: 1})")
    with pytest.raises(Unsupported, match="parallel: 2, but a connection of type 'neo4j'"):
        site.try_run(text)
