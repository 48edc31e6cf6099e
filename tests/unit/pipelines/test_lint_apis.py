"""What a pipeline file says about APIs is checked with its place, without any connection."""

from __future__ import annotations

import textwrap

import pytest

from data_workbench.errors import DefinitionError, Finding
from data_workbench.language.definition import parse_definition
from data_workbench.pipelines.checks import lint

HEAD = """\
version: 1
pipeline: apis
params: {project: {type: text}}
sources:
  rows:
    connection: api
    stream: {stream}
    key: [id]
"""
TAIL = """\
destinations:
  out: {connection: "file:///tmp", file: rows.parquet}
"""


def findings(below: str, stream: str = "items") -> list[Finding]:
    text = HEAD.replace("{stream}", f'"{stream}"') + textwrap.indent(textwrap.dedent(below), "    ") + TAIL
    try:
        return lint(parse_definition(text, path="p.yaml"))
    except DefinitionError as error:
        return error.findings


GOOD = """\
cursor: {column: at, lag: 5m}
rest:
  method: POST
  params: {project: $project, token: $project, price: "$$5"}
  body: {filter: [{project: $project}]}
  data_selector: "data.items[*].node"
  paginator: {type: cursor, cursor_path: meta.next, has_more_path: meta.more}
  columns: {city: address.city}
  types: {id: integer}
  incremental: {start_param: since, format: unix_ms}
"""


def test_a_whole_description_is_right() -> None:
    assert findings(GOOD) == []


@pytest.mark.parametrize(
    ("below", "line", "column", "word"),
    [
        ("rest: {paginater: {}}\n", 9, 12, "paginater"),
        ("rest: {paginator: {type: pages}}\n", 9, 30, "paginator.type"),
        ("rest: {paginator: {type: offset, page_param: p}}\n", 9, 38, "does not belong"),
        ("rest: {paginator: {type: cursor}}\n", 9, 24, "cursor_path"),
        ("rest: {paginator: {type: json_link}}\n", 9, 24, "next_url_path"),
        ("rest: {data_selector: 'a..b'}\n", 9, 27, "is no path"),
        ("rest: {columns: {x: 'a['}}\n", 9, 25, "is no path"),
        ("rest: {body: {a: 1}}\n", 9, 12, "method: POST"),
        ("rest: {headers: {Authorization: Bearer hunter2}}\n", 9, 12, "stands in the file"),
        ("rest: {params: {api_key: hunter2}}\n", 9, 12, "stands in the file"),
        ("rest: {params: {p: $projct}}\n", 9, 24, "$projct"),
        ("rest: {method: POST, body: {a: [1, $nope]}}\n", 9, 40, "$nope"),
        ("rest: {types: {id: intger}}\n", 9, 24, "intger"),
        ("rest: {types: {_wb_op: text}}\n", 9, 20, "_wb_op"),
        ("rest: {path_params: {id: 1}}\n", 9, 26, "{id}"),
        ("rest: {incremental: {start_param: s}}\n", 9, 12, "cursor"),
        ("cursor: {column: at}\nrest: {params: {s: 1}, incremental: {start_param: s}}\n", 10, 21, "'s'"),
        ("cursor: {column: at}\nrest: {incremental: {start_param: s, format: rfc}}\n", 10, 50, "rfc"),
        ("rest: {sample: 0}\n", 9, 12, "sample: 0"),
        ("rest: {max_pages: 0}\n", 9, 23, "max_pages"),
        ("rest: {parent: {keys: {id: id}}}\n", 9, 12, "stream"),
        ("rest: {parent: {stream: 'p/{x}', keys: {id: id}}}\n", 9, 29, "{x}"),
        ("rest: {}\ngraphql: {}\n", 9, 5, "one of rest and graphql"),
        ("options: {delimiter: ';'}\nrest: {}\n", 10, 5, "one of rest and options"),
        ("graphql: {query: 'mutation { wipe }'}\n", 9, 23, "mutation"),
        ("graphql: {query: '{ a'}\n", 9, 26, "Syntax Error"),
        ("graphql:\n  query: |\n    query ($a: Int) {\n      b(\n    }\n", 13, 9, "Syntax Error"),
        ("graphql: {query: '{ a }', variables: {first: 1}}\n", 9, 23, "$first"),
        ("graphql: {nodes: a.b}\n", 9, 15, "belongs to a query"),
        ("graphql: {query: '{ a }', variables: {a: $nope}}\n", 9, 46, "$nope"),
    ],
)
def test_a_mistake_is_found_at_its_place(below: str, line: int, column: int, word: str) -> None:
    found = findings(below)
    assert [one for one in found if (one.line, one.column) == (line, column) and word in one.message], found
    assert "hunter2" not in str(found)


def test_a_placeholder_without_a_value_is_found() -> None:
    [found] = findings("rest: {}\n", "projects/{project_id}/items")
    assert (found.line, found.column) == (7, 13)
    assert "{project_id}" in found.message
    keys = "rest: {parent: {stream: projects, keys: {project_id: id}}}\n"
    assert findings(keys, "projects/{project_id}/items") == []
    assert findings("rest: {path_params: {project_id: $project}}\n", "projects/{project_id}/items") == []
