"""Lint of steps that ask the outside: what is wrong with them is known without asking anybody."""

from __future__ import annotations

import pytest

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import parse_definition
from data_workbench.pipelines.checks import lint

REST = 'connection: api, given: {code: name}, rest: {path: "p/{code}"}, take: {city: name}'
GRAPH = 'connection: g, given: {id: id}, graph: {query: "QUERY"}, take: {b: a}'


def messages(enrich: str, *, out: str = "write: merge, key: [id]", more: str = "") -> list[str]:
    text = (
        "version: 1\npipeline: p\nparams: {least: {type: integer}}\n"
        "sources:\n  rows: {connection: c, stream: s, columns: [id, name, city_provenance], key: [id]}\n"
        f"steps:\n  - {{name: found, enrich: {{{enrich}}}}}\n{more}"
        f"destinations:\n  out: {{connection: d, table: t, {out}}}\n"
    )
    try:
        return [one.message for one in lint(parse_definition(text))]
    except DefinitionError as error:
        return [one.message for one in error.findings]


def test_a_new_column_may_not_meet_what_tells_of_another() -> None:
    assert messages(REST) == ["the input of 'found' has a column 'city_provenance' already"]
    assert messages(REST + ", provenance: false") == []


@pytest.mark.parametrize(
    ("enrich", "message"),
    [
        (REST.replace("code: name", "code: nome"), "the input of 'found' has no column 'nome'"),
        (REST.replace("{code: name}", "{code: name, id: id}"), "'id' is asked nowhere"),
        (REST.replace("p/{code}", "p/{other}"), "nothing gives 'other' a value"),
        (REST.replace("connection: api", 'connection: "https://me:secret@host"'), "a URL with a password"),
        (REST.replace('rest: {path: "p/{code}"}', "rest: {path: p}"), "'code' is asked nowhere"),
        (REST.replace('"}', '", body: {a: 1}}'), "a body needs method: POST"),
        (REST.replace('"}', '", params: {a: $none}}'), "there is no param 'none'"),
        (REST.replace('"}', '", params: {api_key: abc}}'), "parameter 'api_key' stands in the file with its value"),
        (REST.replace('"}', '", headers: {Authorization: abc}}'), "header 'Authorization' stands in the file"),
        (REST.replace('"}', '", batch: {match: {code: c}}}'), "asks about one row, not a batch"),
        (REST.replace("city: name", "city: {from: name, type: texts}"), "unknown type 'texts'"),
        (REST.replace("city: name", 'city: "a..b"'), "is no path"),
        (REST + ", provenance: false, on_unavailable: mark", "mark writes the provenance"),
        (REST + ", nearest: {collection: c, vector: code}", "enrich has rest and nearest"),
        ("connection: api, given: {a: id}, take: {b: c}", "enrich asks nothing"),
        ("connection: q, given: {v: id}, nearest: {collection: c}, take: {b: id}", "one of vector and text"),
        ("connection: q, given: {v: id}, nearest: {collection: c, text: v}, take: {b: id}", "belong together"),
        (
            "connection: q, given: {v: id}, nearest: {collection: c, text: v, model: none}, take: {b: id}",
            "no embedding model 'none'",
        ),
        (
            GRAPH.replace("QUERY", "MATCH (n {i: row.id}) SET n.x=1 RETURN n AS a"),
            "SET may not stand in the query",
        ),
        (
            'connection: g, given: {id: id}, graph: {query: "MATCH (n {id: row.id})"}, take: {b: n}',
            "the query has no RETURN",
        ),
        (
            'connection: g, given: {id: id}, graph: {query: "MATCH (n {id: row.key}) RETURN n.a AS a"}, take: {b: a}',
            "nothing gives 'key' a value",
        ),
        (
            'connection: g, given: {id: id}, graph: {query: "MATCH (n {id: row.id}) RETURN n.a AS a"}, take: {b: c}',
            "the query returns no 'c'",
        ),
        (
            GRAPH.replace("QUERY", "MATCH (n {i: row.id, w: $w}) RETURN n AS a"),
            "there is no param 'w'",
        ),
    ],
)
def test_what_is_wrong_is_told(enrich: str, message: str) -> None:
    found = messages(enrich)
    assert any(message in one for one in found), found


def test_words_in_texts_and_comments_of_a_query_write_nothing() -> None:
    query = "MATCH (n {id: row.id, kind: 'create'}) // set\\n RETURN n.set AS delete_me"
    assert messages(f'connection: g, given: {{id: id}}, graph: {{query: "{query}"}}, take: {{b: delete_me}}') == []


def test_rows_that_are_read_again_are_not_appended_twice() -> None:
    marks = REST.replace("city: name", "town: name") + ", on_unavailable: mark"
    more = "  - {name: few, select: [id, town]}\n"
    assert messages(marks, more=more) == []
    [message] = messages(marks, out="write: append", more=more)
    assert message == "rows that are marked are read again, and 'out' would append them twice"


def test_what_embeds_is_a_column_and_a_model() -> None:
    text = (
        "version: 1\npipeline: p\n"
        "sources:\n  rows: {connection: c, stream: s, columns: [id, vector], key: [id]}\n"
        "steps:\n  - {name: made, embed: {text: words, model: none}}\n"
        "destinations:\n  out: {connection: d, table: t, key: [id]}\n"
    )
    found = [one.message for one in lint(parse_definition(text))]
    assert found[0].endswith("no column 'words'")
    assert found[1] == "no embedding model 'none'"
