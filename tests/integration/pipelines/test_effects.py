"""What destroys needs leave, and nothing else does: told by `plan`, refused by a run before it reads or writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import NotAllowed
from data_workbench.pipelines.explain import explain

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

COPY = """
version: 1
pipeline: copy
sources:
  rows: {connection: pg, stream: public.rows, key: id%(columns)s}
destinations:
  out: {connection: %(connection)s, %(target)s}
"""


def copy(target: str, *, connection: str = "pg", columns: str = "") -> str:
    return COPY % {"target": target, "connection": connection, "columns": columns}


@pytest.fixture
def rows(site: Site) -> Site:
    site.sql("CREATE TABLE rows (id int PRIMARY KEY, name text, code text NOT NULL)")
    site.sql("INSERT INTO rows SELECT n, 'row ' || n, 'c' || n FROM generate_series(1, 5) n")
    return site


def planned(site: Site, text: str) -> dict[str, Any]:
    runner = site.runner()
    return explain(site.definition(text), {}, runner.settings, runner.connections, site.metastore)


def refused(site: Site, text: str, effect: str, **options: Any) -> NotAllowed:
    """The plan names the effect, and a run is refused for it."""
    assert planned(site, text)["allow"] == [effect]
    with pytest.raises(NotAllowed) as caught:
        site.try_run(text, **options)
    assert f"--allow {effect}" in str(caught.value.hint)
    return caught.value


def test_rows_of_others_are_replaced_only_when_that_is_allowed_and_ours_always(rows: Site) -> None:
    rows.sql("CREATE TABLE kept (id int PRIMARY KEY, name text, code text)")
    rows.sql("INSERT INTO kept VALUES (99, 'theirs', 'x')")
    text = copy("table: public.kept, key: id, write: replace")
    error = refused(rows, text, "replace")
    assert "kept" in error.message
    assert rows.sql("SELECT id FROM kept") == [(99,)]
    refused(rows, text, "replace", allow=("key", "model"))
    rows.run(text, allow=("replace",))
    assert rows.one("SELECT count(*) FROM kept") == 5
    assert planned(rows, text)["allow"] == []
    rows.run(text)  # from now on it replaces what it wrote itself


def test_an_upgrade_asks_nobody_for_leave(rows: Site) -> None:
    """A plan that another version stored is not run, but what it replaced is known."""
    text = copy("table: public.mine, key: id, write: replace")
    rows.run(text)
    rows.sql("UPDATE runs SET plan = jsonb_set(plan::jsonb, '{plan,format}', '1')")
    rows.run(text)
    assert rows.one("SELECT count(*) FROM mine") == 5


def test_a_table_that_stands_empty_is_nobodys_loss(rows: Site) -> None:
    rows.sql("CREATE TABLE kept (id int PRIMARY KEY, name text, code text)")
    rows.run(copy("table: public.kept, key: id, write: replace"))
    assert rows.one("SELECT count(*) FROM kept") == 5


def test_a_merge_that_becomes_a_replace_is_asked_about(rows: Site) -> None:
    rows.run(copy("table: public.mine, key: id, write: merge"))
    refused(rows, copy("table: public.mine, key: id, write: replace"), "replace")


def test_a_file_of_others_is_replaced_only_when_that_is_allowed(rows: Site) -> None:
    (rows.files / "out.csv").write_text("id\n1\n")
    text = copy("file: out.csv, write: replace", connection="files")
    refused(rows, text, "replace")
    assert (rows.files / "out.csv").read_text() == "id\n1\n"
    rows.run(text, allow=("all",))
    rows.run(text)


def test_columns_that_an_edited_file_no_longer_writes_are_asked_about_where_their_values_are_lost(rows: Site) -> None:
    target = "table: public.mine, key: id, write: replace"
    rows.run(copy(target))
    fewer = copy(target, columns=", columns: [id, name]")
    assert "mine.code" in refused(rows, fewer, "columns").message
    rows.run(fewer, allow=("columns",))
    rows.run(fewer)


def test_a_merge_into_a_table_keeps_values_of_columns_it_no_longer_writes_so_they_are_only_told(rows: Site) -> None:
    target = "table: public.mine, key: id, write: merge"
    rows.run(copy(target))
    fewer = copy(target, columns=", columns: [id, name]")
    [change] = planned(rows, fewer)["changes"]
    assert (change["action"], change["object"], change["destructive"]) == ("stop_column", "public.mine.code", False)
    rows.run(fewer)
    assert rows.one("SELECT count(code) FROM mine") == 5


def test_a_column_that_the_source_drops_is_its_schema_policys_matter(rows: Site) -> None:
    text = copy("table: public.mine, key: id, write: replace")
    rows.run(text)
    rows.sql("ALTER TABLE rows DROP COLUMN name")
    assert planned(rows, text)["allow"] == []
    rows.run(text)


def test_another_key_is_asked_about_since_rows_of_the_old_one_stay(rows: Site) -> None:
    graph = "nodes: [{label: EffectRow, key: %s}]"
    rows.cypher("MATCH (n:EffectRow) DETACH DELETE n")
    rows.run(copy(graph % "id", connection="graph"))
    other = copy(graph % "code", connection="graph")
    assert "key id becomes code" in refused(rows, other, "key").message
    rows.run(other, allow=("key",))
    rows.run(other)


def test_another_model_is_asked_about_before_anything_is_read(rows: Site) -> None:
    text = copy("collection: effect_rows, key: id, embed: {text: name, model: hashing-64}", connection="vectors")
    rows.run(text)
    rows.points.set_payload("effect_rows", {"_wb_model": "another"}, points=[1, 2])
    rows.sql("UPDATE rows SET name = name || '!'")
    before = rows.stored("effect_rows")
    assert "'another'" in refused(rows, text, "model").message
    assert rows.stored("effect_rows") == before
    rows.run(text, allow=("model",), full_refresh=True)


def test_what_is_no_longer_loaded_is_told(rows: Site) -> None:
    rows.run(copy("table: public.mine, key: id"))
    changes = planned(rows, copy("table: public.other, key: id"))["changes"]
    assert [(one["action"], one["object"]) for one in changes] == [("create", "public.other"), ("leave", "public.mine")]
    assert not any(one["destructive"] for one in changes)


def test_a_store_that_was_away_when_the_run_began_is_asked_before_it_is_loaded(
    rows: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.sql("CREATE TABLE kept AS SELECT 99 AS id, 'theirs' AS name, 'x' AS code")
    there = rows.variables["AIRFLOW_CONN_PG"]
    monkeypatch.setenv(
        "AIRFLOW_CONN_TARGET", '{"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "schema": "x"}'
    )
    runner = rows.runner()
    text = copy("table: public.kept, write: replace", connection="target")
    run_id = runner.begin(rows.definition(text), params={})
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", there)
    runner.stage(run_id)
    for _ in range(2):  # and again, when the task is tried again
        with pytest.raises(NotAllowed):
            runner.load(run_id, "out")
    assert rows.sql("SELECT id FROM kept") == [(99,)]
    runner.fail(run_id, NotAllowed("as an orchestrator would"))
    refused(rows, text, "replace")  # that the load was begun gives no leave


def test_the_command_takes_names_of_effects_and_refuses_others(rows: Site) -> None:
    rows.sql("CREATE TABLE kept AS SELECT 99 AS id, 'theirs' AS name, 'x' AS code")
    file = rows.file(copy("table: public.kept, write: replace"))
    code, document, _ = rows.command("run", file)
    assert (code, document["error"]["kind"]) == (1, "NotAllowed")
    code, document, said = rows.command("run", file, "--allow", "repalce")
    assert (code, "'repalce' is none of replace, columns, key, model, all" in said) == (2, True), said
    code, document, _ = rows.command("run", file, "--allow", "columns,replace")
    assert (code, document["state"]) == (0, "success")
