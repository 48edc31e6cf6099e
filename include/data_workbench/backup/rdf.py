"""A SPARQL dataset (Fuseki) into a set and out again: every graph as N-Triples, read and written by SPARQL 1.1.

A server writes the names of blank nodes anew each time, so a triple's hash leaves them out: what hangs on blank nodes
is compared by shape and count. https://www.w3.org/TR/rdf11-concepts/#section-blank-nodes
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from data_workbench.backup.content import Reader
from data_workbench.backup.exports import CountedExport, joined
from data_workbench.backup.fingerprints import Multiset, digest
from data_workbench.backup.manifest import Content, StoredStore
from data_workbench.connectors.rdf.client import Sparql
from data_workbench.errors import StateError, UsageError
from data_workbench.events import emit
from data_workbench.mapping.rdf_values import Term, n3

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

DEFAULT: Final = "default graph"
_BLANK = re.compile(r"(?:(?<=^)|(?<= ))_:[^ ]+(?= )")
_NAME = re.compile(r'[^\x00-\x20<>"{}|\\^`]+')
_AT_ONCE: Final = 5_000
"""Triples in one request."""
_GRAPHS = "SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } }"


class RdfExport(CountedExport):
    """All graphs of a dataset."""

    kind = "workbench_rdf"
    ending = "nt"

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.name = connection.id
        self._server = Sparql(connection)

    def version(self) -> str | None:
        return self._server.version()

    def now(self) -> dict[str, int]:
        return counts(self._server)

    def read(self, stream: str, seen: Multiset) -> Iterator[bytes]:
        return joined(line.encode() for line in _told(triples(self._server, stream), seen))

    def details(self, paths: Mapping[str, str]) -> dict[str, Any]:
        return {"graphs": dict(paths)}

    def close(self) -> None:
        super().close()
        self._server.close()


class RdfRestore:
    """Graphs in place of those that stand in a dataset."""

    def __init__(self, connection: Connection, stored: StoredStore, reader: Reader) -> None:
        self._server, self._stored, self._reader = Sparql(connection), stored, reader

    def check(self) -> None:
        """Let the server answer, and refuse names that are none."""
        try:
            self._server.ask()
        finally:
            self._server.close()
        for name in self._stored.details["graphs"]:
            if name != DEFAULT and not _NAME.fullmatch(name):
                raise StateError(f"{name[:80]!r} is no name of a graph", hint="the manifest is damaged: another set")

    def restore(self) -> dict[str, Any]:
        """Empty the dataset, write every graph, and compare."""
        try:
            self._server.update("DROP ALL")
            # Jena 5.6 keeps triples of the default graph whose decimals end in zeros: it stores 1.50 and looks for 1.5.
            self._stuck = set(triples(self._server, DEFAULT))
            for name, path in self._stored.details["graphs"].items():
                self._fill(name, path)
            found = self.contents()
        finally:
            self._server.close()
        differing = [name for name, one in self._stored.streams.items() if found.get(name) != one]
        differing += sorted(found.keys() - self._stored.streams.keys())
        if differing:
            raise StateError(
                f"{len(differing)} restored graphs differ from the set, the first: {differing[0]}",
                hint="does something write to the server? Take another set: workbench backup list",
            )
        return {"streams": len(found), "replaced": None}

    def contents(self) -> dict[str, Content]:
        """What the dataset holds now."""
        found = {}
        for name in counts(self._server):
            seen = Multiset()
            for _ in _told(triples(self._server, name), seen):
                pass
            found[name] = Content(count=seen.count, fingerprint=seen.fingerprint)
        return found

    def _fill(self, name: str, path: str) -> None:
        # Blank nodes keep their identity within one request only, so triples that have some go in one.
        plain: list[str] = []
        blank: list[str] = []
        for line in self._reader.lines(self._stored.file(path)):
            text = line.decode("utf-8")
            if name == DEFAULT and text in self._stuck:
                continue
            (blank if _BLANK.search(text) else plain).append(text)
            if len(plain) == _AT_ONCE:
                self._put(name, plain)
                plain = []
        for lines in (plain, blank):
            if lines:
                self._put(name, lines)

    def _put(self, name: str, lines: list[str]) -> None:
        body = "\n".join(lines)
        self._server.update(f"INSERT DATA {{ {body} }}" if name == DEFAULT else _insert(name, body))
        emit("backup.restored", store=self._stored.connection, count=len(lines))


def _insert(name: str, body: str) -> str:
    return f"INSERT DATA {{ GRAPH <{name}> {{ {body} }} }}"


def counts(server: Sparql) -> dict[str, int]:
    """Triples by graph; an empty default graph is left out, as empty graphs are by the server."""
    found = {}
    for name in (DEFAULT, *(str(row[0].value) for row in server.select(_GRAPHS) if row[0] is not None)):
        pattern = "{ ?s ?p ?o }" if name == DEFAULT else f"{{ GRAPH <{_checked(name)}> {{ ?s ?p ?o }} }}"
        [[count]] = server.select(f"SELECT (COUNT(*) AS ?n) {pattern}")
        number = int(count.value) if count is not None else 0
        if number or name != DEFAULT:
            found[name] = number
    return found


def triples(server: Sparql, name: str) -> Iterator[str]:
    """The triples of a graph, each a line of N-Triples, as they arrive."""
    pattern = "{ ?s ?p ?o }" if name == DEFAULT else f"{{ GRAPH <{_checked(name)}> {{ ?s ?p ?o }} }}"
    for row in server.select(f"SELECT ?s ?p ?o {pattern}"):
        subject, predicate, value = row
        assert subject is not None
        assert predicate is not None
        assert value is not None
        yield f"{_text(subject)} {_text(predicate)} {_text(value)} ."


def _text(term: Term) -> str:
    return f"_:{term.value}" if term.kind == "blank" else n3(term)


def _told(lines: Iterable[str], seen: Multiset) -> Iterator[str]:
    for line in lines:
        seen.add(digest(_BLANK.sub("_:b", line).encode()))
        yield line


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is no name of a graph that can be asked for", hint="rename or drop it")
    return name
