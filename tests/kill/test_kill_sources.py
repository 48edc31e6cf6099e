"""kill -9 of runs that read from each kind of source: the load ends whole, and what is read later is read once.

Rows are appended, so a position that is taken too early loses rows and one taken too late doubles them.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.kill import others
from tests.kill.shapes import MANY_COMMITS, SIZE

from fixtures.reqif_documents import document

if TYPE_CHECKING:
    from tests.kill.conftest import Arena

MORE = 100
"""Rows that come after the first run."""
IS_STORM = int(os.environ.get("WORKBENCH_KILL_ROUNDS", "3")) > 3
Fill = Callable[[int, int], object]
"""Make rows from the first number to before the second, beside those that are there."""


@dataclass(frozen=True)
class Origin:
    """A source, its rows, and what it needs.

    Args:
        opens: gives a function that fills it.
        number: the column with a row's number.
        state: whether later rows alone are read by the next run.
    """

    source: str
    opens: Callable[[Arena, pytest.FixtureRequest], Any]
    number: str = "id"
    state: bool = True
    rows: int = SIZE


def moment(number: int) -> dt.datetime:
    return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=number)


# ------------------------------------------------------------------------------------------------------- the origins


@contextmanager
def _mysql(arena: Arena, request: pytest.FixtureRequest) -> Iterator[Fill]:
    with others.mysql(arena, request.getfixturevalue("mariadb")) as run:
        run("CREATE TABLE rows_here (id int PRIMARY KEY, seen int)")
        yield lambda first, end: run(
            "INSERT INTO rows_here VALUES " + ", ".join(f"({n}, {n})" for n in range(first, end))
        )


@contextmanager
def _sqlite(arena: Arena, _: pytest.FixtureRequest) -> Iterator[Fill]:
    import sqlite3

    path = arena.files / "here.sqlite"
    others.give(arena, "workshop", conn_type="sqlite", host=str(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE rows_here (id integer PRIMARY KEY, seen integer)")
        yield lambda first, end: connection.executemany(
            "INSERT INTO rows_here VALUES (?, ?)", [(n, n) for n in range(first, end)]
        )


def _duckdb(arena: Arena, _: pytest.FixtureRequest) -> Any:
    import duckdb

    path = arena.files / "here.duckdb"
    others.give(arena, "lab", conn_type="duckdb", host=str(path))

    def fill(first: int, end: int) -> None:
        with duckdb.connect(path) as connection:  # closed again: one process at a time may write
            connection.execute("CREATE TABLE IF NOT EXISTS rows_here (id bigint PRIMARY KEY, seen bigint)")
            connection.execute(f"INSERT INTO rows_here SELECT n, n FROM range({first}, {end}) AS r(n)")

    return nullcontext(fill)


def _graph(arena: Arena, _: pytest.FixtureRequest) -> Any:
    def fill(first: int, end: int) -> None:
        with arena.graph.session() as session:
            session.run("UNWIND range($a, $b) AS n CREATE (:Here {id: n, seen: n})", a=first, b=end - 1).consume()

    return nullcontext(fill)


def _points(arena: Arena, _: pytest.FixtureRequest) -> Any:
    from qdrant_client import models

    size = models.VectorParams(size=2, distance=models.Distance.DOT)
    arena.points.create_collection("here", size)

    def fill(first: int, end: int) -> None:
        points = [models.PointStruct(id=n, vector=[n, 1], payload={"seen": n}) for n in range(first, end)]
        arena.points.upsert("here", points, wait=True)

    return nullcontext(fill)


@contextmanager
def _rdf(arena: Arena, request: pytest.FixtureRequest) -> Iterator[Fill]:
    import httpx

    url = request.getfixturevalue("fuseki")
    with others.rdf(arena, url):

        def fill(first: int, end: int) -> None:
            triples = " ".join(f"<urn:n:{n}> a <urn:Here> ; <urn:id> {n} ; <urn:seen> {n} ." for n in range(first, end))
            httpx.post(f"{url}/update", data={"update": f"INSERT DATA {{ {triples} }}"}, timeout=60).raise_for_status()

        yield fill


def _files(arena: Arena, _: pytest.FixtureRequest) -> Any:
    def fill(first: int, end: int) -> None:
        rows = "".join(json.dumps({"id": n, "seen": n}) + "\n" for n in range(first, end))
        (arena.files / f"here-{first:06}.jsonl").write_text(rows)

    return nullcontext(fill)


def _parquet(arena: Arena, _: pytest.FixtureRequest) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def fill(first: int, end: int) -> None:
        numbers = list(range(first, end))
        pq.write_table(pa.table({"id": numbers, "seen": numbers}), arena.files / "here.parquet")

    return nullcontext(fill)


@contextmanager
def _api(arena: Arena, _: pytest.FixtureRequest) -> Iterator[Fill]:
    rows: list[dict[str, Any]] = []
    with others.api(arena, rows):
        yield lambda first, end: rows.extend({"id": n, "updated_at": moment(n)} for n in range(first, end))


def _tap(arena: Arena, _: pytest.FixtureRequest) -> Any:
    return nullcontext(lambda _, end: others.tap(arena, end - 1))


def _reqif(arena: Arena, _: pytest.FixtureRequest) -> Any:
    others.give(arena, "reqs", conn_type="workbench_reqif", host=f"file://{arena.files}")

    def fill(first: int, end: int) -> None:
        with zipfile.ZipFile(arena.files / f"{first:06}.reqifz", "w") as archive:
            archive.writestr("it.reqif", document(end - 1))

    return nullcontext(fill)


QUERY = (
    "query ($size: Int, $after: String, $since: String) { items(first: $size, after: $after, since: $since)"
    " { nodes { id updated_at } pageInfo { hasNextPage endCursor } } }"
)
ORIGINS = {
    "sqlite": Origin("{connection: workshop, stream: rows_here, key: id, cursor: {column: seen}}", _sqlite),
    "duckdb": Origin("{connection: lab, stream: rows_here, key: id, cursor: {column: seen}}", _duckdb),
    "mysql": Origin("{connection: shop, stream: rows_here, key: id, cursor: {column: seen}}", _mysql),
    "graph": Origin("{connection: graph, stream: Here, columns: [id, seen], key: id, cursor: {column: seen}}", _graph),
    "points": Origin(
        "{connection: vectors, stream: here, columns: [id, seen], key: id, cursor: {column: seen}}", _points
    ),
    "rdf": Origin('{connection: rdf, stream: "class:urn:Here", key: iri, cursor: {column: seen}}', _rdf),
    "files": Origin(
        '{connection: files, stream: "here-*.jsonl", key: id, columns: [id, seen], cursor: {column: _file_modified},'
        " options: {changes: hash}}",
        _files,
    ),
    "parquet": Origin("{connection: files, stream: here.parquet, key: id}", _parquet, state=False),
    "api": Origin(
        "{connection: api, stream: by_offset, key: id, cursor: {column: updated_at}, rest: {data_selector: records,"
        " paginator: {type: offset, limit: 500, total_path: total}, incremental: {start_param: updated_since}}}",
        _api,
    ),
    "graphql": Origin(
        "{connection: graphql, stream: items, key: id, columns: [id, updated_at], cursor: {column: updated_at},"
        f' graphql: {{query: "{QUERY}", variables: {{size: 500}}, nodes: items.nodes,'
        " incremental: {start_param: since}}}",
        _api,
    ),
    "tap": Origin("{connection: tap, stream: parts, key: id, cursor: {column: updated_at}}", _tap),
    "documents": Origin('{connection: reqs, stream: "objects:Requirement", key: identifier}', _reqif, "identifier",
                        state=False, rows=900),
}  # fmt: skip
PIPELINE = """
version: 1
pipeline: killed
sources: {rows: %s}
destinations: {out: {connection: pg, table: public.rows_copy, key: %s, write: append}}
"""
SAMPLE = {("load.after_commit", 2)}
STATEFUL = {*SAMPLE, ("run.published", 1), ("stage.landed", 1)}


def points_of(name: str) -> set[tuple[str, int]]:
    """A storm meets all; otherwise those with a state of their own meet the moments around its confirmation."""
    return set(MANY_COMMITS) if IS_STORM else STATEFUL if name in ("api", "graphql", "tap") else SAMPLE


@pytest.mark.parametrize(
    ("name", "point", "occurrence"), sorted((name, *point) for name in ORIGINS for point in points_of(name))
)
def test_a_killed_run_reads_its_source_to_the_end_and_later_rows_once(
    arena: Arena, request: pytest.FixtureRequest, name: str, point: str, occurrence: int
) -> None:
    origin = ORIGINS[name]
    text = PIPELINE % (origin.source, origin.number if name != "rdf" else "iri")
    with origin.opens(arena, request) as fill:
        fill(1, origin.rows + 1)
        assert arena.run(text, point=point, occurrence=occurrence) is None, "it should have been killed"
        arena.finish(text)
        assert len(standing(arena, origin)) == len(set(standing(arena, origin))) == origin.rows
        if not origin.state:
            return
        fill(origin.rows + 1, origin.rows + MORE + 1)
        later = arena.finish(text)["document"]
        assert later["destinations"]["out"]["inserted"] == MORE, later
        assert sorted(standing(arena, origin)) == list(range(1, origin.rows + MORE + 1))


def standing(arena: Arena, origin: Origin) -> list[Any]:
    return [value for (value,) in arena.sql(f"SELECT {origin.number} FROM rows_copy")]
