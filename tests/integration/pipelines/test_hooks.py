"""Hooks run around a load: in its transaction where there is one, with params bound, where the site lets them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import AccessDenied, Unsupported
from data_workbench.events import Event, subscribed
from data_workbench.pipelines.explain import explain

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

COPY = """
version: 1
pipeline: hooked
params: {word: {type: text, default: it}, size: {type: integer}}
sources:
  rows: {connection: pg, stream: public.rows, key: id}
destinations:
  out:
    connection: pg
    table: public.rows_copy
    key: id
    write: %(write)s
    hooks:
      before: [{sql: "INSERT INTO notes (said, size, seen) SELECT 'before ' || $word, $size, count(*) FROM rows_copy"}]
      after: [{sql: %(after)s}]
"""
AFTER = "\"INSERT INTO notes (said, seen) SELECT 'after 100% $word', count(*) FROM rows_copy\""


def copy(write: str = "merge", after: str = AFTER) -> str:
    return COPY % {"write": write, "after": after}


@pytest.fixture
def rows(site: Site) -> Site:
    site.sql("CREATE TABLE rows (id int PRIMARY KEY, name text)")
    site.sql("INSERT INTO rows SELECT n, 'row ' || n FROM generate_series(1, 30) n")
    site.sql("CREATE TABLE rows_copy (id int PRIMARY KEY, name text)")
    site.sql("CREATE TABLE notes (n int GENERATED ALWAYS AS IDENTITY, said text, size int, seen int)")
    site.settings = replace(site.settings, hooks="pg, graph", part_rows=10)
    return site


def notes(site: Site) -> list[tuple[Any, ...]]:
    return site.sql("SELECT said, size, seen FROM notes ORDER BY n")


@pytest.mark.parametrize("write", ["merge", "append", "replace"])
def test_hooks_see_the_table_as_it_is_before_the_first_row_and_after_the_last(rows: Site, write: str) -> None:
    told = rows.run(copy(write), {"word": "it's; DROP TABLE rows --", "size": 7})
    assert told["destinations"]["out"]["inserted"] == 30
    assert notes(rows) == [("before it's; DROP TABLE rows --", 7, 0), ("after 100% $word", None, 30)]
    assert told["reconciliation"]["clean"]


def test_hooks_run_though_there_is_nothing_to_load(rows: Site) -> None:
    rows.sql("TRUNCATE rows")
    rows.run(copy())
    assert notes(rows) == [("before it", None, 0), ("after 100% $word", None, 0)]


def test_a_parameter_is_bound_in_a_statement_that_defines_things(rows: Site) -> None:
    rows.run(copy(after='"CREATE VIEW chosen AS SELECT * FROM rows_copy WHERE name <> $word"'), {"word": "row 3"})
    assert rows.one("SELECT count(*) FROM chosen") == 29


class Killed(Exception):
    """Stands for a process that is gone."""


@contextmanager
def killed_at(name: str, part: int | None) -> Iterator[None]:
    def listen(event: Event) -> None:
        if event.name == name and event.facts.get("part") == part:
            raise Killed

    with subscribed(listen), pytest.raises(Killed):
        yield


@pytest.mark.parametrize("write", ["merge", "append", "replace"])
@pytest.mark.parametrize(
    ("event", "part"), [("load.before_commit", 0), ("load.after_commit", 0), ("load.before_commit", None)]
)
def test_a_load_that_is_killed_runs_its_hooks_once_in_the_end(
    rows: Site, write: str, event: str, part: int | None
) -> None:
    if write == "replace":
        part = 2  # one transaction over all parts, told with the last one
    runner = rows.runner()
    run_id = runner.begin(rows.definition(copy(write)), params={})
    runner.stage(run_id)
    with killed_at(event, part):
        runner.load(run_id, "out")
    runner.load(run_id, "out")
    runner.load(run_id, "out")  # an orchestrator may ask again
    runner.reconcile(run_id)
    assert notes(rows) == [("before it", None, 0), ("after 100% $word", None, 30)]
    assert rows.one("SELECT count(*) FROM rows_copy") == 30


def test_a_hook_that_fails_takes_its_transaction_with_it(rows: Site) -> None:
    text = copy("replace", after='"INSERT INTO nowhere VALUES (1)"')
    rows.sql("INSERT INTO rows_copy VALUES (99, 'stays')")
    document, error = rows.try_run(text, allow=("replace",))
    assert "hook after[0]" in error.message
    assert "nowhere" in error.message
    assert (document["state"], notes(rows)) == ("failed", [])
    assert rows.sql("SELECT id FROM rows_copy") == [(99,)]


def test_hooks_run_only_where_the_site_lets_them(rows: Site) -> None:
    rows.settings = replace(rows.settings, hooks="graph")
    with pytest.raises(AccessDenied, match="hooks may not run on connection 'pg'") as caught:
        rows.try_run(copy())
    assert "WORKBENCH_HOOKS" in str(caught.value.hint)
    assert rows.one("SELECT count(*) FROM rows_copy") == 0
    runner = rows.runner()
    with pytest.raises(AccessDenied):
        explain(rows.definition(copy()), {}, runner.settings, runner.connections, rows.metastore)


GRAPH = """
version: 1
pipeline: hooked_graph
params: {word: {type: text, default: it}}
sources:
  rows: {connection: pg, stream: public.rows, key: id}
destinations:
  graph:
    connection: graph
    nodes: [{label: HookRow, key: id}]
    hooks:
      before: [{cypher: "MERGE (n:HookNote {said: 'before'}) SET n.word = $word, n.seen = COUNT { (:HookRow) }"}]
      after: [{cypher: "MERGE (n:HookNote {said: 'after'}) SET n.seen = COUNT { (:HookRow) }"}]
"""


def test_hooks_of_a_graph_run_in_transactions_of_their_own(rows: Site) -> None:
    rows.cypher("MATCH (n) WHERE n:HookRow OR n:HookNote DETACH DELETE n")
    rows.run(GRAPH, {"word": "' RETURN 1 //"})
    found = rows.cypher("MATCH (n:HookNote) RETURN n.said, n.word, n.seen ORDER BY n.said DESC")
    assert found == [["before", "' RETURN 1 //", 0], ["after", None, 30]]
    told = rows.run(GRAPH)
    assert told["reconciliation"]["clean"]


def test_a_language_that_the_store_does_not_speak_is_refused(rows: Site) -> None:
    with pytest.raises(Unsupported, match="no cypher runs on 'pg'"):
        rows.try_run(copy(after='"SELECT 1"').replace('{sql: "SELECT 1"}', '{cypher: "RETURN 1"}'))


def test_a_plan_and_a_dry_run_tell_hooks_and_run_none(rows: Site) -> None:
    runner = rows.runner()
    told = explain(rows.definition(copy()), {}, runner.settings, runner.connections, rows.metastore)
    assert told["destinations"]["out"]["hooks"]["after"][0].startswith("INSERT INTO notes")
    assert told["may_stream"] is False
    sample = rows.run(copy(), dry_run=True)
    assert list(sample["hooks"]) == ["out"]
    assert notes(rows) == []


def test_a_comparison_that_repairs_runs_no_hooks(rows: Site) -> None:
    rows.run(copy())
    rows.sql("DELETE FROM rows_copy WHERE id = 3")
    assert rows.reconcile(copy(), repair=True)["clean"]
    assert len(notes(rows)) == 2
