"""Files, assets and chunks: the catalogue as forty uploaded documents, again as further volumes when the size grows.

Seven of eight files came through the default ingest (doc, doc_chunk, then copies in knowledge_chunks with new ids);
the eighth came through the BPMN ingest, which writes no doc rows and notes the point's id in the chunk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from odras_demo.seed.organisation import PROJECTS, Project, project_id, tenant_id
from odras_demo.seed.recipe import FILES_PER_SIZE, Recipe, Rows, moment
from odras_demo.seed.wording import Passage, documents
from odras_demo.weaknesses import by_family

MODEL = "all-MiniLM-L6-v2"
_KINDS = ("specification", "requirements", "reference", "procedure")


@dataclass(frozen=True)
class Upload:
    """One uploaded file; `volume` counts how often the catalogue was gone through before it."""

    number: int
    volume: int
    project: Project
    passages: tuple[Passage, ...]

    @property
    def by_default_ingest(self) -> bool:
        """Whether doc rows exist for it."""
        return self.number % 8 != 7

    @property
    def is_active(self) -> bool:
        """Archived assets need not be searchable."""
        return self.number % 13 != 12

    @property
    def is_copied(self) -> bool:
        """Whether ODRAS's own script has copied it to the searchable collection already."""
        return self.number % 10 == 0

    @property
    def filename(self) -> str:
        """Tells the weaknesses inside, and the volume after the first."""
        tail = f"-volume-{self.volume + 1}" if self.volume else ""
        return f"cwe-{self.passages[0].cwe_id}-to-{self.passages[-1].cwe_id}{tail}.txt"

    def text(self, passage: Passage) -> str:
        """The words of a passage as they stand in this file."""
        if not self.volume:
            return passage.text
        return f"{self.project.name}, volume {self.volume + 1}, {passage.section}: {passage.text}"

    def content(self) -> bytes:
        """The bytes of the whole file."""
        return "\n\n".join(self.text(passage) for passage in self.passages).encode()


def uploads(recipe: Recipe) -> Iterator[Upload]:
    """All files in the order of their upload."""
    parts = documents(FILES_PER_SIZE)
    for number in range(recipe.files):
        volume, part = divmod(number, FILES_PER_SIZE)
        yield Upload(number, volume, PROJECTS[(number + volume) % len(PROJECTS)], parts[part])


def file_id(recipe: Recipe, number: int) -> UUID:
    """Identifier of the file with this number."""
    return recipe.uid("file", number)


def asset_id(recipe: Recipe, number: int) -> UUID:
    """Identifier of the asset made from the file with this number."""
    return recipe.uid("asset", number)


def chunk_id(recipe: Recipe, number: int, position: int) -> UUID:
    """Identifier in knowledge_chunks."""
    return recipe.uid("chunk", f"{number}:{position}")


def doc_chunk_id(recipe: Recipe, number: int, position: int) -> UUID:
    """Identifier in doc_chunk, which is the point's id in the collection knowledge_chunks."""
    return recipe.uid("doc_chunk", f"{number}:{position}")


@cache
def document_of(cwe_id: int) -> int:
    """Which of the forty documents speaks of a weakness."""
    return next(
        part for part, passages in enumerate(documents(FILES_PER_SIZE)) if any(p.cwe_id == cwe_id for p in passages)
    )


def tables(recipe: Recipe) -> Iterator[Rows]:
    """Files, their bytes (for some), assets, chunks, and the copies that the script made."""
    yield Rows(
        "files",
        ("id", "tenant_id", "project_id", "filename", "original_filename", "content_type", "file_size", "storage_path",
         "storage_key", "hash_md5", "hash_sha256", "tags", "iri", "created_at", "updated_at", "created_by", "status"),
        _files(recipe),
    )  # fmt: skip
    yield Rows("file_content", ("file_id", "content"), _contents(recipe))
    yield Rows(
        "knowledge_assets",
        ("id", "tenant_id", "source_file_id", "project_id", "title", "document_type", "content_summary", "metadata",
         "iri",
         "created_at", "updated_at", "status", "processing_stats", "is_public"),
        _assets(recipe),
    )  # fmt: skip
    yield Rows("doc", ("doc_id", "project_id", "filename", "sha256", "created_at"), _docs(recipe))
    yield Rows(
        "doc_chunk",
        ("chunk_id", "doc_id", "chunk_index", "text", "page", "start_char", "end_char", "created_at"),
        _doc_chunks(recipe),
    )
    yield Rows(
        "knowledge_chunks",
        ("id", "asset_id", "sequence_number", "chunk_type", "content", "token_count", "metadata", "embedding_model",
         "qdrant_point_id", "created_at"),
        _chunks(recipe),
    )  # fmt: skip
    yield Rows(
        "knowledge_relationships",
        ("id", "source_asset_id", "target_asset_id", "relationship_type", "confidence_score", "created_at"),
        _citations(recipe),
    )
    yield Rows(
        "knowledge_processing_jobs",
        ("id", "asset_id", "job_type", "status", "progress_percent", "started_at", "completed_at", "created_at"),
        _jobs(recipe),
    )
    yield Rows(
        "das_knowledge_chunks",
        ("chunk_id", "content", "knowledge_type", "domain", "project_id", "tags", "metadata", "token_count",
         "qdrant_point_id", "sequence_number", "created_at", "updated_at"),
        _script_copies(recipe),
    )  # fmt: skip


def _files(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for upload in uploads(recipe):
        content, key, when = upload.content(), file_id(recipe, upload.number), moment(upload.number, recipe.files)
        project = project_id(recipe, upload.project.key)
        yield (
            key, tenant_id(recipe), project, upload.filename, upload.filename, "text/plain", len(content),
            f"minio/{key}",
            f"files/{key}", hashlib.md5(content, usedforsecurity=False).hexdigest(),
            hashlib.sha256(content).hexdigest(),
            json.dumps(["cwe", upload.project.domain]), f"https://uas.example.mil/project/{project}/files/{key}", when,
            when,
            "owner", "processed",
        )  # fmt: skip


def _contents(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    """Bytes in the database for a few files of the first volume: enough to check a hash against its content."""
    for upload in uploads(recipe):
        if upload.volume:
            return
        if upload.number % 4 == 0:
            yield file_id(recipe, upload.number), upload.content()


def _assets(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for upload in uploads(recipe):
        key, when = asset_id(recipe, upload.number), moment(upload.number, recipe.files, days_later=0.01)
        project = project_id(recipe, upload.project.key)
        origin = {"ingest": "default", "doc_id": str(recipe.uid("doc", upload.number))}
        first = upload.passages[0]
        yield (
            key, tenant_id(recipe), file_id(recipe, upload.number), project,
            f"Security weaknesses {first.cwe_id} to {upload.passages[-1].cwe_id} for {upload.project.name}",
            _KINDS[upload.number % len(_KINDS)], first.text[:400],
            json.dumps(origin if upload.by_default_ingest else {"ingest": "bpmn"}),
            f"https://uas.example.mil/project/{project}/knowledge/{key}", when, when,
            "active" if upload.is_active else "archived", json.dumps({"chunks": len(upload.passages)}),
            upload.project.publication == "published",
        )  # fmt: skip


def _docs(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for upload in uploads(recipe):
        if upload.by_default_ingest:
            yield (
                str(recipe.uid("doc", upload.number)), str(project_id(recipe, upload.project.key)), upload.filename,
                hashlib.sha256(upload.content()).hexdigest(), moment(upload.number, recipe.files),
            )  # fmt: skip


def _doc_chunks(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for upload in uploads(recipe):
        if not upload.by_default_ingest:
            continue
        doc, when, start = str(recipe.uid("doc", upload.number)), moment(upload.number, recipe.files), 0
        for position, passage in enumerate(upload.passages):
            text = upload.text(passage)
            key = str(doc_chunk_id(recipe, upload.number, position))
            yield key, doc, position, text, position // 4 + 1, start, start + len(text), when
            start += len(text) + 2


def _chunks(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for upload in uploads(recipe):
        asset, when = asset_id(recipe, upload.number), moment(upload.number, recipe.files, days_later=0.02)
        for position, passage in enumerate(upload.passages):
            text = upload.text(passage)
            about: dict[str, object] = {"section": passage.section, "cwe_id": passage.cwe_id, "page": position // 4 + 1}
            point = model = None
            if upload.by_default_ingest:
                about["doc_chunk_id"] = str(doc_chunk_id(recipe, upload.number, position))
            else:
                point, model = recipe.uid("point", f"{upload.number}:{position}"), MODEL
            yield (
                chunk_id(recipe, upload.number, position), asset, position, "text", text, len(text) // 4,
                json.dumps(about), model, point, when,
            )  # fmt: skip


def _citations(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    """An asset refers to another where a weakness in it is a child of one described there."""
    pairs = {
        (document_of(weakness.cwe_id), document_of(parent))
        for weakness in by_family()
        for parent in weakness.parents[:1]
    }
    when = moment(1, 1)
    for source, target in sorted(pair for pair in pairs if pair[0] != pair[1]):
        key = recipe.uid("citation", f"{source}:{target}")
        yield key, asset_id(recipe, source), asset_id(recipe, target), "REFERENCES", 0.8, when


def _jobs(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for upload in uploads(recipe):
        begun, ended = (moment(upload.number, recipe.files, days_later=days) for days in (0.01, 0.02))
        key = recipe.uid("processing", upload.number)
        yield key, asset_id(recipe, upload.number), "embedding", "completed", 100, begun, ended, begun


def _script_copies(recipe: Recipe) -> Iterator[tuple[object, ...]]:
    for upload in uploads(recipe):
        if not (upload.is_copied and upload.is_active):
            continue
        when = moment(upload.number, recipe.files, days_later=1)
        for position, passage in enumerate(upload.passages):
            key, text = copy_id(recipe, upload.number, position), upload.text(passage)
            about = {
                "original_chunk_id": str(chunk_id(recipe, upload.number, position)),
                "asset_id": str(asset_id(recipe, upload.number)),
                "migrated_by": "copy script",
            }
            yield (
                key, text, "project", "knowledge", project_id(recipe, upload.project.key), ["cwe"], json.dumps(about),
                len(text) // 4, key, position, when, when,
            )  # fmt: skip


def copy_id(recipe: Recipe, number: int, position: int) -> UUID:
    """Identifier the copy script gave; nothing in it tells the original."""
    return recipe.uid("script_copy", f"{number}:{position}")
