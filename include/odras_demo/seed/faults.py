"""The register of planted faults, and the rows that are the faults.

Rules 1 to 10 are the consistency rules between ODRAS's stores; rule 0 stands for the contracts of the shipped
pipelines. Every fault is a row of its own, so that sound rows stay sound:

 1 each doc_chunk has one point and the reverse       6 individuals agree with their RDF
 2 a chunk's doc_chunk_id and point id resolve        7 das_knowledge covers the active assets
 3 nothing belongs to a project or asset that is gone  8 project ids in text columns are live projects
 4 file row, bytes and hashes agree                    9 the graph's nodes and relationships are PostgreSQL's
 5 registered graphs exist                            10 imported requirements match their originals

What can be planted today: the PostgreSQL half of every rule (here, by the seeder), and the Qdrant and Neo4j halves of
1, 3 and 9 (`stores.py`, on request). MinIO and Fuseki are not part of this release: rules 4, 5 and 6 are represented
by PostgreSQL rows that speak of bytes and graphs which are not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from odras_demo.seed.documents import MODEL, asset_id, chunk_id
from odras_demo.seed.ontologies import ONTOLOGIES, graph_iri, table_id
from odras_demo.seed.organisation import project_id, tenant_id, user_id
from odras_demo.seed.recipe import BEGIN, Recipe, Rows
from odras_demo.seed.requirement_rows import IMPORTED, published_copy

Plant = tuple["PlantedFault", list[Rows]]


@dataclass(frozen=True)
class PlantedFault:
    """One known fault: the rule it breaks, and where to find it."""

    rule: int
    store: str
    table: str
    key: str
    description: str


def planted_faults(*, random_seed: int = 7) -> list[PlantedFault]:
    """What `seed` plants in PostgreSQL; the halves of other stores are returned by the functions that plant them."""
    return [fault for fault, _ in _plants(Recipe(random_seed=random_seed))]


def tables(recipe: Recipe) -> Iterator[Rows]:
    """The rows of all planted faults."""
    for _, rows in _plants(recipe):
        yield from rows


def retired_project(recipe: Recipe) -> str:
    """A project id that names no project any more."""
    return str(project_id(recipe, "retired"))


def _plants(recipe: Recipe) -> Iterator[Plant]:
    for rule in (_contract, _points, _links, _leftovers, _bytes, _graphs, _individuals, _coverage, _text_ids,
    _graph_ids,
                 _copies):  # fmt: skip
        yield from rule(recipe)


def _row(table: str, **values: object) -> Rows:
    return Rows(table, tuple(values), [tuple(values.values())])


def _fault(rule: int, table: str, key: object, description: str, *rows: Rows) -> Plant:
    return PlantedFault(rule, "postgresql", table, str(key), description), list(rows)


def _contract(recipe: Recipe) -> Iterator[Plant]:
    wanted = (
        ("short", "REQ-TBD-1", "TBD", "a requirement of three letters: below the contract's least length"),
        ("lower", "legacy_17", "The air vehicle shall log each lost link.", "an identifier that begins in lower case"),
    )
    for name, identifier, text, description in wanted:
        key = recipe.uid("fault_requirement", name)
        row = _row(
            "requirements_enhanced", requirement_id=key, project_id=project_id(recipe, "se"),
            requirement_identifier=identifier, requirement_title=f"Unfinished ({name})", requirement_text=text,
            requirement_type="functional", created_by=user_id(recipe, "editor"), created_at=BEGIN, updated_at=BEGIN,
        )  # fmt: skip
        yield _fault(0, "requirements_enhanced", key, description, row)


def _points(recipe: Recipe) -> Iterator[Plant]:
    doc, project = str(recipe.uid("fault_doc", "unembedded")), str(project_id(recipe, "se"))
    for number in range(2):
        key = str(recipe.uid("fault_doc_chunk", f"unembedded:{number}"))
        text = f"Passage {number + 1} of a document whose embedding failed half way."
        rows = [_row(
            "doc_chunk", chunk_id=key, doc_id=doc, chunk_index=number, text=text, page=1, start_char=0,
            end_char=len(text),
            created_at=BEGIN,
        )]  # fmt: skip
        if number == 0:
            rows.insert(
                0,
                _row(
                    "doc",
                    doc_id=doc,
                    project_id=project,
                    filename="half-embedded.txt",
                    sha256="0" * 64,
                    created_at=BEGIN,
                ),
            )
        yield _fault(1, "doc_chunk", key, "a doc_chunk for which no point was ever written", *rows)


def _asset(recipe: Recipe, name: str, *, project: object, title: str) -> Rows:
    return _row(
        "knowledge_assets", id=recipe.uid("fault_asset", name), tenant_id=tenant_id(recipe), project_id=project,
        title=title,
        document_type="reference", created_at=BEGIN, updated_at=BEGIN,
    )  # fmt: skip


def _chunk(recipe: Recipe, name: str, number: int, text: str, **values: object) -> Rows:
    return _row(
        "knowledge_chunks", id=recipe.uid("fault_chunk", f"{name}:{number}"), asset_id=recipe.uid("fault_asset", name),
        sequence_number=number, content=text, token_count=len(text) // 4, created_at=BEGIN, **values,
    )  # fmt: skip


def _links(recipe: Recipe) -> Iterator[Plant]:
    asset = _asset(recipe, "links", project=project_id(recipe, "se"), title="Notes whose links lead nowhere")
    gone = json.dumps({"doc_chunk_id": str(recipe.uid("doc_chunk", "gone"))})
    first = _chunk(recipe, "links", 0, "Copied from a doc_chunk that was deleted since.", metadata=gone)
    key = recipe.uid("fault_chunk", "links:0")
    yield _fault(2, "knowledge_chunks", key, "metadata.doc_chunk_id names no doc_chunk", asset, first)
    point = recipe.uid("point", "gone")
    second = _chunk(recipe, "links", 1, "Its point was deleted by hand.", embedding_model=MODEL, qdrant_point_id=point)
    key = recipe.uid("fault_chunk", "links:1")
    yield _fault(2, "knowledge_chunks", key, "qdrant_point_id names no point", second)


def _file(recipe: Recipe, name: str, content: bytes, *, project: object, sha256: str, size: int) -> Rows:
    key = recipe.uid("fault_file", name)
    return _row(
        "files", id=key, tenant_id=tenant_id(recipe), project_id=project, filename=f"{name}.txt",
        content_type="text/plain",
        file_size=size, storage_path=f"minio/{key}", storage_key=f"files/{key}",
        hash_md5=hashlib.md5(content, usedforsecurity=False).hexdigest(), hash_sha256=sha256, created_at=BEGIN,
        updated_at=BEGIN, created_by="editor", status="processed",
    )  # fmt: skip


def _leftovers(recipe: Recipe) -> Iterator[Plant]:
    retired, text = retired_project(recipe), b"What is left of a project that was deleted."
    left = _file(recipe, "leftover", text, project=retired, sha256=hashlib.sha256(text).hexdigest(), size=len(text))
    yield _fault(3, "files", recipe.uid("fault_file", "leftover"), "a file whose project is gone", left)
    asset = _asset(recipe, "leftover", project=retired, title="Knowledge of a deleted project")
    chunks = [_chunk(recipe, "leftover", number, f"Passage {number + 1} of a deleted project.") for number in range(3)]
    key = recipe.uid("fault_asset", "leftover")
    yield _fault(
        3, "knowledge_assets", key, "an active asset, with three chunks, whose project is gone", asset, *chunks
    )


def _bytes(recipe: Recipe) -> Iterator[Plant]:
    project, content = project_id(recipe, "structures"), b"The bytes as they are now."
    right, wrong = hashlib.sha256(content).hexdigest(), hashlib.sha256(b"The bytes as they were.").hexdigest()
    faults = (
        ("tampered", wrong, len(content), True, "hash_sha256 is not the hash of the content"),
        ("resized", right, len(content) + 7, True, "file_size is not the length of the content"),
        ("lost", right, len(content), False, "storage_path names an object that was never stored"),
    )
    for name, sha256, size, kept, description in faults:
        key = recipe.uid("fault_file", name)
        rows = [_file(recipe, name, content, project=project, sha256=sha256, size=size)]
        if kept:
            rows.append(_row("file_content", file_id=key, content=content))
        yield _fault(4, "files", key, description, *rows)


def _graphs(recipe: Recipe) -> Iterator[Plant]:
    key, graph = (
        recipe.uid("fault_ontology", "unwritten"),
        graph_iri(recipe, ONTOLOGIES[0]).replace("/core", "/unwritten"),
    )
    yield _fault(5, "ontologies_registry", key, f"graph_iri {graph} was registered, its graph never written", _row(
        "ontologies_registry", id=key, tenant_id=tenant_id(recipe), project_id=project_id(recipe, "foundation"),
        graph_iri=graph, label="Never written", created_at=BEGIN, updated_at=BEGIN,
    ))  # fmt: skip


def _individuals(recipe: Recipe) -> Iterator[Plant]:
    aircraft = ONTOLOGIES[1]
    wanted = (
        ("Ghost part", f"{graph_iri(recipe, aircraft)}#Ghost_part_00000000", "instance_uri is not in the graph"),
        ("Nameless part", f"{graph_iri(recipe, aircraft)}#", "instance_uri names the graph but no individual"),
    )
    for name, uri, description in wanted:
        key = recipe.uid("fault_individual", name)
        yield _fault(6, "individual_instances", key, description, _row(
            "individual_instances", instance_id=key, table_id=table_id(recipe, aircraft), class_name="Component",
            instance_name=name, instance_uri=uri, properties=json.dumps({"massKg": -1}), created_at=BEGIN,
            updated_at=BEGIN,
        ))  # fmt: skip


def _coverage(recipe: Recipe) -> Iterator[Plant]:
    yield _fault(
        7, "knowledge_assets", asset_id(recipe, 1), "active, yet none of its chunks is in das_knowledge (as most)"
    )
    key = recipe.uid("fault_copy", "gone")
    gone = _copy(recipe, "gone", original=recipe.uid("chunk", "gone"), text="A copy whose original was deleted since.")
    yield _fault(7, "das_knowledge_chunks", key, "metadata.original_chunk_id names no chunk", gone)
    old = recipe.uid("fault_chunk", "links:2")
    chunk = _chunk(recipe, "links", 2, "The wording as it is now, after an edit.")
    copy = _copy(recipe, "stale", original=old, text="The wording as it was, before the edit.")
    key = recipe.uid("fault_copy", "stale")
    yield _fault(7, "das_knowledge_chunks", key, "its text is not its original's any more", chunk, copy)
    twice = chunk_id(recipe, 0, 0)
    again = _copy(recipe, "twice", original=twice, text="The script ran twice for this chunk.")
    key = recipe.uid("fault_copy", "twice")
    yield _fault(7, "das_knowledge_chunks", key, "a second copy of one chunk", again)


def _copy(recipe: Recipe, name: str, *, original: object, text: str) -> Rows:
    key = recipe.uid("fault_copy", name)
    later = BEGIN.replace(year=BEGIN.year + 1) if name == "twice" else BEGIN
    return _row(
        "das_knowledge_chunks", chunk_id=key, content=text, knowledge_type="project", domain="knowledge",
        project_id=project_id(recipe, "se"), metadata=json.dumps({"original_chunk_id": str(original)}),
        token_count=len(text) // 4, qdrant_point_id=key, created_at=later, updated_at=later,
    )  # fmt: skip


def _text_ids(recipe: Recipe) -> Iterator[Plant]:
    key = str(recipe.uid("fault_doc", "unknown"))
    row = _row(
        "doc", doc_id=key, project_id="unknown", filename="unknown-project.txt", sha256="0" * 64, created_at=BEGIN
    )
    yield _fault(8, "doc", key, "project_id is the word unknown", row)
    key, owner = str(recipe.uid("fault_thread", "retired")), str(user_id(recipe, "owner"))
    row = _row(
        "project_thread", project_thread_id=key, project_id=retired_project(recipe), created_by=owner, created_at=BEGIN
    )
    yield _fault(8, "project_thread", key, "project_id is a UUID of no live project", row)
    key = str(recipe.uid("fault_chat", "pending"))
    row = _row(
        "chat_message",
        message_id=key,
        session_id="lost",
        project_id="pending",
        role="user",
        content="Hello?",
        created_at=BEGIN,
    )
    yield _fault(8, "chat_message", key, "project_id is the word pending", row)


def _graph_ids(recipe: Recipe) -> Iterator[Plant]:
    key = recipe.uid("fault_relationship", "graph")
    yield _fault(9, "knowledge_relationships", key, "neo4j_relationship_id names no relationship", _row(
        "knowledge_relationships", id=key, source_asset_id=asset_id(recipe, 0), target_asset_id=asset_id(recipe, 39),
        relationship_type="SUPERSEDES", confidence_score=0.5, neo4j_relationship_id=987_654_321, created_at=BEGIN,
    ))  # fmt: skip


def _copies(recipe: Recipe) -> Iterator[Plant]:
    edited = published_copy(recipe, IMPORTED)
    edited["requirement_text"] = f"{edited['requirement_text']} Exceptions are agreed case by case."
    yield _fault(
        10, "requirements_enhanced", edited["requirement_id"], "an immutable copy whose text was edited",
        Rows("requirements_enhanced", tuple(edited), [tuple(edited.values())]),
    )  # fmt: skip
    behind = published_copy(recipe, IMPORTED + 1)
    behind["version"] = 0
    yield _fault(
        10, "requirements_enhanced", behind["requirement_id"], "a copy of an older version than the one published now",
        Rows("requirements_enhanced", tuple(behind), [tuple(behind.values())]),
    )  # fmt: skip
