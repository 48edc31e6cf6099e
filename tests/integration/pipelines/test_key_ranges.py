"""Ranges read by tasks of their own, at different times: what lands is one moment, whatever was written meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest

from data_workbench.artifacts import ArtifactStore, Manifest
from data_workbench.connectors.postgres import key_ranges
from data_workbench.errors import Unsupported
from data_workbench.events import Event, subscribed
from data_workbench.metastore import stages

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

ROWS = 4_000
PIPELINE = """
version: 1
pipeline: split
engine: {{name: duckdb, push_down: false}}
sources: {{rows: {{connection: pg, stream: public.rows{more}}}}}
steps: [{{name: kept, filter: "seen % 7 <> 0"}}]
destinations: {{out: {{connection: pg, table: public.rows_copy, key: [{key}]}}}}
"""
KEYS = {
    "id int": ("n * 7919 % 4000", "-5", "1000000"),
    "id uuid": ("md5(n::text)::uuid", f"{0:032x}", f"{2**128 - 1:032x}"),
    'id text COLLATE "C"': ("CASE WHEN n % 2 = 0 THEN 'ä' ELSE 'B' END || md5(n::text)", "!", "ö"),
    "kind text, id numeric(12,2)": ("'kind ' || n % 3, n / 4.0", "!", "kind 9"),
}
"""Columns of a key: what they hold, and what is below and above it."""


def fill(site: Site, columns: str = "id int") -> str:
    """A table whose rows do not stand in the order of their keys; the names of its key."""
    names = ", ".join(column.split()[0] for column in columns.split(", "))
    site.sql(f"CREATE TABLE rows ({columns}, name text, seen int, PRIMARY KEY ({names}))")
    site.sql(
        f"INSERT INTO rows SELECT {KEYS[columns][0]}, 'row ' || n || repeat('x', 80), n"
        f" FROM generate_series(1, {ROWS}) n"
    )
    return names


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of a few pages, and samples of fewer."""
    monkeypatch.setattr(key_ranges, "LEAST_PAGES", 4)
    monkeypatch.setattr(key_ranges, "_SAMPLED_PAGES", 8)


def landed(site: Site, run_id: str, artifact: str = "source.rows") -> Manifest:
    found = ArtifactStore(site.settings).find("split", run_id, artifact)
    assert found is not None
    return found


def content(manifest: Manifest, by: str) -> list[dict[str, Any]]:
    table = pa.Table.from_batches(list(manifest.iter_batches()), schema=manifest.schema)
    return sorted(table.to_pylist(), key=lambda row: [str(row[name]) for name in by.split(", ")])


def test_a_run_in_ranges_is_a_run_in_one(site: Site) -> None:
    key = fill(site)
    alone = site.run(PIPELINE.format(more="", key=key))
    ranged = site.run(PIPELINE.format(more=", ranges: 4", key=key))
    one, four = landed(site, alone["run_id"]), landed(site, ranged["run_id"])
    assert content(four, key) == content(one, key)
    assert [part.of for part in four.parts] == [f"range.rows.{place:03d}" for place in range(4)], "no row was copied"
    sizes = [part.rows for part in four.parts]
    assert max(sizes) < 2 * min(sizes), sizes
    for told in ("sources", "steps", "reconciliation"):
        assert ranged[told] == alone[told]
    counts = ranged["destinations"]["out"]
    assert (counts["inserted"], counts["unchanged"]) == (0, site.one("SELECT count(*) FROM rows WHERE seen % 7 <> 0"))
    assert set(ranged["timings"]) == {*alone["timings"], "split"}


@pytest.mark.parametrize("columns", KEYS)
def test_rows_that_move_between_ranges_meanwhile_land_once(site: Site, columns: str) -> None:
    """Each task of its own, as Airflow has them, and writers in between."""
    key = fill(site, columns)
    first, below, above = key.split(", ")[0], *KEYS[columns][1:]
    text = PIPELINE.format(more=", ranges: 3, cursor: {column: seen}", key=key)
    run_id = site.runner().begin(site.definition(text), params={})
    assert len(site.runner().split(run_id)["rows"].ranges) == 3
    site.runner().stage_range(run_id, 0)
    for way, new in (("ASC", above), ("DESC", below)):  # out of the range that was read, and into it
        outermost = f"SELECT ctid FROM rows ORDER BY {', '.join(f'{name} {way}' for name in key.split(', '))} LIMIT 1"
        site.sql(f"UPDATE rows SET {first} = '{new}' WHERE ctid = ({outermost})")
    site.sql("DELETE FROM rows WHERE seen % 100 = 1")
    site.sql("UPDATE rows SET name = 'changed', seen = seen + 10000 WHERE seen % 100 = 2")
    for number in (1, 2):
        site.runner().stage_range(run_id, number)
    site.sql("DELETE FROM rows WHERE seen % 100 = 3")
    site.sql("UPDATE rows SET name = 'changed again' WHERE seen % 100 = 4")
    site.runner().stage(run_id)
    names = [*key.split(", "), "name", "seen"]
    shown = [f"{name}::text" if columns == "id uuid" and name == "id" else name for name in names]
    stand = [dict(zip(names, row, strict=True)) for row in site.sql(f"SELECT {', '.join(shown)} FROM rows")]
    found = landed(site, run_id)
    assert content(found, key) == sorted(stand, key=lambda row: [str(row[name]) for name in key.split(", ")])
    assert found.extra["position"]["watermark"] == str(site.one("SELECT max(seen) FROM rows"))


def test_what_is_truncated_and_filled_again_frozen_is_read_again(site: Site) -> None:
    key = fill(site)
    run_id = site.runner().begin(site.definition(PIPELINE.format(more=", ranges: 3", key=key)), params={})
    for number in range(3):
        site.runner().split(run_id)
        site.runner().stage_range(run_id, number)
    with psycopg.connect(site.dsn) as connection:
        connection.execute("TRUNCATE rows")
        with connection.cursor().copy("COPY rows FROM STDIN (FREEZE)") as copy:
            copy.write_row((1, "anew", 5))
    site.runner().stage(run_id)
    assert content(landed(site, run_id), key) == [{"id": 1, "name": "anew", "seen": 5}]


def test_a_row_that_is_committed_late_comes_with_the_next_run_which_is_read_in_one(site: Site) -> None:
    key = fill(site)
    text = PIPELINE.format(more=", ranges: 3, cursor: {column: seen}", key=key)
    with psycopg.connect(site.dsn) as slow:
        slow.execute("INSERT INTO rows VALUES (-1, 'late', 1)")
        first = site.run(text)
        slow.commit()
    assert first["sources"]["rows"]["read"] == ROWS
    second = site.run(text)
    assert second["destinations"]["out"]["inserted"] == 1
    assert site.one("SELECT name FROM rows_copy WHERE id = -1") == "late"
    assert not stages.stage_results(site.metastore, second["run_id"])["split"].counts["splits"]  # type: ignore[index]
    assert site.run(text)["sources"]["rows"]["read"] == 1, "the row at the watermark"


def test_ranges_that_are_landed_are_not_read_again(site: Site) -> None:
    key = fill(site)
    text = PIPELINE.format(more=", ranges: 4", key=key)
    run_id = site.runner().begin(site.definition(text), params={})
    number = len(site.runner().split(run_id)["rows"].ranges)
    site.runner().stage_range(run_id, 0)
    site.runner().stage_range(run_id, number - 1)
    read: list[int] = []

    def listen(event: Event) -> None:
        if event.name == "range.landed":
            read.append(event.facts["range"])

    with subscribed(listen):
        assert site.runner().stage_range(run_id, 0)["rows"] > 0
        counts = site.runner().stage(run_id)
    assert sorted(read) == list(range(1, number - 1))
    assert counts["sources"]["rows"]["read"] == ROWS
    told = stages.stage_results(site.metastore, run_id)
    assert set(told) == {"split", "stage", "stage_range.0", f"stage_range.{number - 1}"}
    measured = told["stage_range.0"].measures or {}
    assert measured["rows_in"] == landed(site, run_id, "range.rows.000").rows
    assert measured["bytes_in"] > 0


def test_ranges_follow_the_rows_however_skewed_their_keys_are(site: Site) -> None:
    key = fill(site)
    site.sql("UPDATE rows SET id = CASE WHEN id < 3990 THEN -id ELSE 2000000000 + id END")
    run_id = site.run(PIPELINE.format(more=", ranges: 4", key=key))["run_id"]
    sizes = [part.rows for part in landed(site, run_id).parts]
    assert len(sizes) == 4
    assert max(sizes) < 2 * min(sizes), sizes


@pytest.mark.parametrize("rows", [0, 20])
def test_a_table_that_is_too_small_is_read_in_one(site: Site, rows: int) -> None:
    key = fill(site)
    site.sql("DELETE FROM rows WHERE seen > %s", rows)
    site.sql("VACUUM FULL rows")
    document = site.run(PIPELINE.format(more=", ranges: 4", key=key))
    assert document["sources"]["rows"]["read"] == rows


@pytest.mark.parametrize(
    ("made", "error"),
    [
        ("CREATE VIEW there AS SELECT * FROM rows", "no key that the store keeps unique"),
        ("CREATE TABLE there AS SELECT * FROM rows", "no key that the store keeps unique"),
    ],
)
def test_a_stream_without_a_unique_key_is_refused(site: Site, made: str, error: str) -> None:
    fill(site)
    site.sql(made)
    text = PIPELINE.format(more=", key: id, ranges: 2", key="id").replace("public.rows,", "public.there,")
    with pytest.raises(Unsupported, match=error):
        site.try_run(text)


def test_a_table_that_others_inherit_from_is_refused(site: Site) -> None:
    key = fill(site)
    site.sql("CREATE TABLE child () INHERITS (rows)")
    _, error = site.try_run(PIPELINE.format(more=", ranges: 2", key=key))
    assert isinstance(error, Unsupported)
    assert "inherit" in error.message
