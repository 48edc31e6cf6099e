"""Runs that stream a source straight into a table: the same result as a staged one, compared before the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.events import Event, subscribed
from data_workbench.pipelines.options import RunOptions

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

COPY = """
version: 1
pipeline: copied
sources:
  things: {connection: pg, stream: public.things%(source)s}
destinations:
  there: {connection: pg, table: public.things_there, %(target)s}
"""
MERGED = COPY % {"source": "", "target": "key: id, write: merge"}
REPLACED = COPY % {"source": "", "target": "write: replace"}
APPENDED = COPY % {"source": "", "target": "write: append"}


@pytest.fixture
def things(site: Site) -> Site:
    site.sql("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    site.sql(
        "CREATE TABLE things (id bigint PRIMARY KEY, name text, price numeric(12,4), mood mood, document jsonb,"
        " xml json, tags text[], changed timestamptz DEFAULT now())"
    )
    site.sql(
        "INSERT INTO things SELECT n, 'thing ' || n, n / 7.0, 'glad', jsonb_build_object('n', n), '{\"a\": 1}',"
        " ARRAY['x', NULL], now() FROM generate_series(1, 500) n"
    )
    return site


def happened(site: Site, text: str) -> tuple[dict[str, Any], list[str]]:
    """A run's document and the names of its events."""
    names: list[str] = []

    def listen(event: Event) -> None:
        names.append(event.name)

    with subscribed(listen):
        return site.run(text), names


def differing(site: Site) -> int:
    return int(
        site.one(
            "SELECT count(*) FROM (SELECT t::text FROM things t EXCEPT SELECT t::text FROM things_there t) AS differing"
        )
    )


@pytest.mark.parametrize("text", [MERGED, REPLACED, APPENDED])
def test_a_source_that_nothing_looks_into_is_streamed_and_tells_the_same_counts(things: Site, text: str) -> None:
    document, events = happened(things, text)
    assert "load.compared" in events
    assert "stage.read" not in events
    whole = {"read": 500, "out": 500, "deduplicated": 0, "discarded": 0, "quarantined": 0}
    assert document["sources"] == {"things": whole}
    there = document["destinations"]["there"]
    assert (there["inserted"], there["out"]) == (500, 500)
    assert document["reconciliation"]["clean"] is True
    assert document["reconciliation"]["method"] == "digest"
    assert differing(things) == 0


def test_a_second_merge_is_staged_because_rows_stand_there(things: Site) -> None:
    things.run(MERGED)
    things.sql("UPDATE things SET name = 'changed' WHERE id <= 10")
    document, events = happened(things, MERGED)
    assert "stage.read" in events
    assert "method" not in document["reconciliation"]
    there = document["destinations"]["there"]
    assert (there["updated"], there["unchanged"]) == (10, 490)


def test_a_cursor_goes_on_from_where_the_stream_began(things: Site) -> None:
    text = COPY % {"source": ", cursor: {column: changed}", "target": "key: id, write: merge"}
    _, events = happened(things, text)
    assert "load.compared" in events
    things.sql("UPDATE things SET name = 'later', changed = now() + interval '1 s' WHERE id = 3")
    document, _ = happened(things, text)
    assert document["destinations"]["there"]["updated"] == 1
    assert differing(things) == 0


def test_a_difference_found_before_the_commit_is_left_to_the_staged_way(things: Site, monkeypatch: Any) -> None:
    from data_workbench.connectors.postgres import fused

    monkeypatch.setattr(fused, "_copy_in", _losing_a_row(fused._copy_in))
    document, events = happened(things, MERGED)
    assert "load.compared" not in events
    assert "stage.read" in events
    assert document["sources"]["things"]["read"] == 500
    assert document["destinations"]["there"]["inserted"] == 500
    assert differing(things) == 0


def _losing_a_row(copy_in: Any) -> Any:
    """A COPY after which a row is gone, as no server should do it."""

    def losing(connection: Any, statement: str, data: Any) -> int:
        taken = int(copy_in(connection, statement, data))
        connection.execute("DELETE FROM public.things_there WHERE id = 77")
        return taken

    return losing


def test_a_changed_value_in_any_column_is_a_difference(things: Site) -> None:
    from data_workbench.connectors.postgres.digest import digest_of
    from data_workbench.connectors.registry import open_source

    source: Any = open_source(things.runner().connections.get("pg"), things.settings)
    with source:
        table = source.table("public.things")
        before = digest_of(source.beside, "public.things", table.columns)
        for change in (
            "price = price + 0.0001",
            "mood = 'sad'",
            "document = '{}'",
            "xml = '{}'",
            "tags = ARRAY['x', 'NULL']",
        ):
            things.sql(f"UPDATE things SET {change} WHERE id = 5")
            after = digest_of(source.beside, "public.things", table.columns)
            assert after != before, change
            before = after


@pytest.mark.parametrize("moment", ["load.before_commit", "load.after_commit"])
def test_a_stream_killed_at_its_commit_goes_on_and_doubles_nothing(things: Site, moment: str) -> None:
    class Killed(BaseException):
        pass

    def listen(event: Event) -> None:
        if event.name == moment:
            raise Killed

    runner, definition = things.runner(), things.definition(APPENDED)
    run_id = runner.begin(definition, params={}, options=RunOptions())
    runner.stage(run_id)
    with pytest.raises(Killed), subscribed(listen):
        runner.load(run_id, "there")
    document = things.run(APPENDED)
    assert document["run_id"] == run_id
    assert document["destinations"]["there"]["inserted"] == 500
    assert things.one("SELECT count(*) FROM things_there") == 500


def test_what_needs_a_look_at_rows_is_never_streamed(things: Site) -> None:
    contract = MERGED + "contract: {things: {columns: {name: {required: true}}}}\n"
    step = MERGED + "steps: [{name: few, filter: name ilike 'thing%'}]\n"
    for text in (contract, step):
        things.sql("DROP TABLE IF EXISTS things_there")
        _, events = happened(things, text)
        assert "stage.read" in events
