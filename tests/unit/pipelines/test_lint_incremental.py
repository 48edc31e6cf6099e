"""Lint of aggregates that keep rows between runs, and of hierarchies."""

from __future__ import annotations

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import parse_definition
from data_workbench.pipelines.checks import lint

SOURCE = "  rows: {connection: c, stream: s, columns: [id, shop, n], key: [id], cursor: {column: at}}\n"
SUMS = "  - {name: sums, aggregate: {by: [shop], take: {total: sum(n)}, incremental: true}}\n"
MERGE = "  out: {connection: d, table: t, key: [shop], write: merge}\n"


def messages(steps: str = SUMS, *, sources: str = SOURCE, out: str = MERGE, params: str = "") -> list[str]:
    text = f"version: 1\npipeline: p\n{params}sources:\n{sources}steps:\n{steps}destinations:\n{out}"
    try:
        return [one.message for one in lint(parse_definition(text))]
    except DefinitionError as error:
        return [one.message for one in error.findings]


def test_changes_of_one_source_with_a_cursor_are_folded() -> None:
    assert messages() == []
    assert messages("  - {name: kept, filter: n > 1}\n" + SUMS + "  - {name: more, derive: {m: total * 2}}\n") == []


def test_a_source_without_a_cursor_gives_no_changes() -> None:
    [message] = messages(sources=SOURCE.replace(", cursor: {column: at}", ""))
    assert message == "source 'rows' has no cursor, so all of its rows come each time"


def test_runs_that_see_other_rows_share_no_groups() -> None:
    where = SOURCE.replace(", cursor", ', where: "shop = $shop", cursor')
    [message] = messages(sources=where, params="params: {shop: {type: text}}\n")
    assert message == "each run sees other rows of 'rows', by the params of its where"


def test_rows_of_two_sources_are_not_kept() -> None:
    both = SOURCE + SOURCE.replace("rows:", "more:")
    union = "  - {name: all, input: rows, union: {with: more, keys: disjoint}}\n"
    assert messages(union + SUMS, sources=both) == ["rows of 'rows' and 'more' come together here"]


def test_groups_that_have_changed_are_merged_and_nothing_else() -> None:
    later = SUMS + "  - {name: ranked, window: {order: [total], take: {place: rank()}}}\n"
    assert messages(later) == ["the window 'ranked' takes its rows"]
    assert messages(out="  out: {connection: d, table: t, write: append}\n") == ["destination 'out' does not merge"]


def test_groups_have_columns_and_no_rollup() -> None:
    assert messages(SUMS.replace("incremental", "rollup: true, incremental")) == ["an incremental aggregate has groups"]


TREE = "  - {name: rolled, hierarchy: {key: id, parent: shop, take: {total: sum(n)}, depth: level}}\n"


def test_a_hierarchy_has_known_columns_and_makes_new_ones() -> None:
    assert messages(TREE) == []
    assert messages(TREE + "  - {name: few, select: [shop, total, level]}\n") == []
    assert messages(TREE.replace("key: id", "key: it")) == ["the input of 'rolled' has no column 'it'"]
    assert messages(TREE.replace("parent: shop", "parent: up")) == ["the input of 'rolled' has no column 'up'"]
    assert messages(TREE.replace("sum(n)", "sum(m)"))[0].startswith("take total: ")
    assert messages(TREE.replace("depth: level", "depth: N")) == ["the input of 'rolled' has a column 'n' already"]
    assert messages(TREE.replace("parent: shop, ", "")) == ["a hierarchy has one of parent and edges"]


def test_edges_have_known_columns() -> None:
    both = SOURCE + "  edges: {connection: c, stream: e, columns: [child, parent]}\n"
    edges = "edges: {with: edges, child: child, parent: above}"
    tree = TREE.replace("parent: shop", edges).replace("name: rolled", "name: rolled, input: rows")
    assert messages(tree, sources=both) == ["'edges' has no column 'above'"]
    assert "nobody" in messages(tree.replace("with: edges", "with: nobody"), sources=both)[0]
