"""Loads of resources: merged by subject after a look at what stands, or written aside and put in place at once.

Each request is one transaction in Fuseki and safe to repeat, so a killed load writes its parts again.
"""

from __future__ import annotations

import hashlib
import logging
from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from data_workbench.connectors.base import Progress, Rejection, Writer
from data_workbench.connectors.operations import Operations, split_operations
from data_workbench.connectors.rdf.client import Sparql
from data_workbench.connectors.rdf.resources import Resources, Standing, Values
from data_workbench.connectors.rdf.streams import OWN
from data_workbench.errors import WorkbenchError
from data_workbench.events import emit
from data_workbench.mapping.rdf_values import literal, n3
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.mapping.targets import LoadContext

log = logging.getLogger(__name__)

_CHUNK_ROWS = 2000
_REQUEST_CHARACTERS = 8 * 1024**2


class ResourceWriter(Writer):
    """What merge and replace share: rows cut into chunks, rows that make no resource set aside."""

    def __init__(self, store: Sparql, resources: Resources, context: LoadContext) -> None:
        self._store, self._resources, self._context = store, resources, context
        self._owner = n3(literal(context.pipeline))
        self.progress = Progress()
        self.rejections: list[Rejection] = []

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        facts = {"destination": self._context.destination, "target": self._resources.target.name, "part": index}
        emit("load.before_commit", **facts)
        counts = self._write(split_operations(part))
        self.progress.parts = index + 1
        self.progress.counts.add(counts)
        emit("load.after_commit", **facts)
        return counts

    def finish(self) -> WriteCounts:
        self.progress.finished = True
        return self.progress.counts

    @abstractmethod
    def _write(self, asked: Operations) -> WriteCounts:
        """Write one part's upserts, tombstones and retractions."""

    def _chunks(self, rows: pa.Table, counts: WriteCounts) -> Iterator[dict[str, tuple[Values, list[str]]]]:
        """Values and triples by subject; what makes none is rejected and counted."""
        for start in range(0, rows.num_rows, _CHUNK_ROWS):
            chunk = rows.slice(start, _CHUNK_ROWS)
            keys = chunk.select(list(self._resources.target.key)).to_pylist()
            made: dict[str, tuple[Values, list[str]]] = {}
            rejected = len(self.rejections)
            for key, subject, values in zip(
                keys, self._resources.subjects(chunk), self._resources.values(chunk), strict=True
            ):
                if subject is None:
                    self.rejections.append(Rejection(key, "subject", "its key makes no IRI of a subject"))
                    continue
                triples = self._resources.triples(subject, values)
                if isinstance(triples, str):
                    self.rejections.append(Rejection(key, "link", f"{triples!r} makes no IRI"))
                else:
                    made[subject] = values, triples
            counts.rejected += len(self.rejections) - rejected
            yield made

    def _owner_triple(self, subject: str) -> str:
        return f"<{subject}> <{self._resources.owner_predicate}> {self._owner} ."


class MergeWriter(ResourceWriter):
    """Merge by subject: triples of the target's own predicates are replaced where they differ, others stay."""

    def _write(self, asked: Operations) -> WriteCounts:
        counts = WriteCounts(out=asked.upserts.num_rows + asked.tombstones.num_rows)
        for chunk in self._chunks(asked.upserts, counts):
            found = {one.subject: one for one in self._resources.standing(self._store, list(chunk))}
            changed = [
                subject for subject, (values, _) in chunk.items() if not self._is_same(found.get(subject), values)
            ]
            self._send(chunk, changed)
            counts.inserted += sum(subject not in found for subject in changed)
            counts.updated += sum(subject in found for subject in changed)
            counts.unchanged += len(chunk) - len(changed)
        gone = delete_owned(self._store, self._resources, asked.tombstones, self._context.pipeline)
        taken_back = delete_owned(self._store, self._resources, asked.retractions, self._context.pipeline)
        counts.deleted += gone + taken_back
        counts.retracted += taken_back
        counts.unchanged += asked.tombstones.num_rows - gone
        return counts

    def _is_same(self, standing: Standing | None, values: Values) -> bool:
        return standing is not None and standing.values == values and standing.owner == self._context.pipeline

    def _send(self, chunk: dict[str, tuple[Values, list[str]]], changed: list[str]) -> None:
        for subjects in _sized(changed, chunk):
            triples = "\n".join(triple for subject in subjects for triple in chunk[subject][1])
            owners = "\n".join(map(self._owner_triple, subjects))
            resources = self._resources
            self._store.update(
                f"{_deletion(resources, subjects)}\nINSERT DATA {{ GRAPH <{resources.target.graph}> {{\n{triples}\n}} "
                f"GRAPH <{resources.owners}> {{\n{owners}\n}} }}"
            )


class ReplaceWriter(ResourceWriter):
    """Replace of the graph: everything is written to a graph aside, and one request puts it in place.

    A load that is interrupted begins again with an empty graph aside, so at its first part.
    """

    resumes = False

    def __init__(self, store: Sparql, resources: Resources, context: LoadContext) -> None:
        super().__init__(store, resources, context)
        load = f"{context.pipeline}\0{context.destination}\0{context.target_index}"
        self._aside = f"{OWN}loading:{hashlib.sha256(load.encode()).hexdigest()[:24]}"
        self._forget()  # what a killed load left

    def _write(self, asked: Operations) -> WriteCounts:
        counts = asked.ignoring_deletes()
        for chunk in self._chunks(asked.upserts, counts):
            for subjects in _sized(list(chunk), chunk):
                triples = "\n".join(triple for subject in subjects for triple in chunk[subject][1])
                owners = "\n".join(map(self._owner_triple, subjects))
                self._store.update(
                    f"INSERT DATA {{ GRAPH <{self._aside}> {{\n{triples}\n}} "
                    f"GRAPH <{self._aside}:owners> {{\n{owners}\n}} }}"
                )
        counts.inserted -= counts.rejected
        return counts

    def finish(self) -> WriteCounts:
        facts = {"destination": self._context.destination, "target": self._resources.target.name, "part": None}
        emit("load.before_commit", **facts)
        steps = []
        for aside, place in (
            (self._aside, self._resources.target.graph),
            (f"{self._aside}:owners", self._resources.owners),
        ):
            # Not ADD, COPY or MOVE: TDB2 (Jena 5.6) iterates over the index it inserts into, and loses triples.
            steps += [
                f"DROP SILENT GRAPH <{place}>",
                f"INSERT {{ GRAPH <{place}> {{ ?s ?p ?o }} }} WHERE {{ GRAPH <{aside}> {{ ?s ?p ?o }} }}",
                f"DROP SILENT GRAPH <{aside}>",
            ]
        self._store.update(" ;\n".join(steps))
        emit("load.after_commit", **facts)
        return super().finish()

    def close(self) -> None:
        if not self.progress.finished:
            try:
                self._forget()
            except WorkbenchError as error:  # what is left aside is dropped when the next load begins
                log.warning("%s stays behind: %s", self._aside, error.message)

    def _forget(self) -> None:
        self._store.update(f"DROP SILENT GRAPH <{self._aside}> ; DROP SILENT GRAPH <{self._aside}:owners>")


def delete_owned(store: Sparql, resources: Resources, keys: pa.Table, pipeline: str) -> int:
    """Delete the triples that the target would write of those of these keys' resources that the pipeline wrote."""
    gone = 0
    for start in range(0, keys.num_rows, _CHUNK_ROWS):
        named = [subject for subject in resources.subjects(keys.slice(start, _CHUNK_ROWS)) if subject is not None]
        standing = resources.standing(store, list(dict.fromkeys(named)))
        owned = [one.subject for one in standing if one.owner == pipeline]
        if owned:
            store.update(_deletion(resources, owned))
        gone += len(owned)
    return gone


def _deletion(resources: Resources, subjects: list[str]) -> str:
    """Updates that take away what the target writes of these subjects, ended by `;`; of types only the class."""
    names = " ".join(f"<{subject}>" for subject in subjects)
    target = resources.target
    return (
        f"DELETE {{ GRAPH <{target.graph}> {{ ?s ?p ?o }} }} WHERE {{ VALUES ?s {{ {names} }} "
        f"VALUES (?p ?l) {{ {resources.written_pairs()} }} GRAPH <{target.graph}> {{ ?s ?p ?o }} "
        f'FILTER(IF(isLiteral(?o), LCASE(LANG(?o)), "") = ?l) '
        f"FILTER(?p != <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> || ?o = <{target.class_iri}>) }} ;\n"
        f"DELETE {{ GRAPH <{resources.owners}> {{ ?s ?p ?o }} }} WHERE {{ VALUES ?s {{ {names} }} "
        f"VALUES ?p {{ <{resources.owner_predicate}> }} GRAPH <{resources.owners}> {{ ?s ?p ?o }} }} ;"
    )


def _sized(subjects: list[str], chunk: dict[str, tuple[Values, list[str]]]) -> Iterator[list[str]]:
    """Subjects in lists that fit into one request each."""
    kept: list[str] = []
    size = 0
    for subject in subjects:
        own = sum(map(len, chunk[subject][1]))
        if kept and size + own > _REQUEST_CHARACTERS:
            yield kept
            kept, size = [], 0
        kept.append(subject)
        size += own
    if kept:
        yield kept
