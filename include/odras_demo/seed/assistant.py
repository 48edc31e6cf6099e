"""The assistant's own tables: training material, personas, a team, tools, and its search index."""

from __future__ import annotations

import json
from collections.abc import Iterator

from odras_demo.seed.documents import MODEL
from odras_demo.seed.organisation import PROJECTS, project_id, user_id
from odras_demo.seed.recipe import BEGIN, Recipe, Rows
from odras_demo.seed.wording import passages
from odras_demo.weaknesses import by_family

_TRAINING = ("ontology", "requirements", "acquisition", "odras_usage", "systems_engineering")
_PERSONAS = (("Researcher", "researcher"), ("Analyst", "analyst"), ("Moderator", "moderator"))
_TRAINING_PASSAGES = 24


def tables(recipe: Recipe) -> Iterator[Rows]:
    """Few rows each: enough for every table to mean something."""
    yield from _training(recipe)
    yield from _staff(recipe)
    yield from _index(recipe)


def _training(recipe: Recipe) -> Iterator[Rows]:
    owner = user_id(recipe, "owner")
    collections = [(recipe.uid("collection", name), name) for name in _TRAINING]
    yield Rows(
        "das_training_collections",
        ("collection_id", "collection_name", "display_name", "domain", "vector_size", "created_by", "created_at",
         "updated_at"),
        [(key, f"das_training_{name}", name.replace("_", " ").title(), name, 384, owner, BEGIN, BEGIN)
         for key, name in collections],
    )  # fmt: skip
    collection, asset = collections[1][0], recipe.uid("training_asset", "requirements")
    yield Rows(
        "das_training_assets",
        (
            "asset_id",
            "collection_id",
            "title",
            "source_type",
            "created_by",
            "created_at",
            "processing_status",
            "chunk_count",
        ),
        [
            (
                asset,
                collection,
                "How weaknesses become requirements",
                "text",
                owner,
                BEGIN,
                "completed",
                _TRAINING_PASSAGES,
            )
        ],
    )
    texts = [next(passages(weakness)).text for weakness in by_family()[:_TRAINING_PASSAGES]]
    keys = [recipe.uid("training_chunk", number) for number in range(len(texts))]
    yield Rows(
        "das_training_chunks",
        ("chunk_id", "asset_id", "collection_id", "sequence_number", "content", "token_count", "embedding_model",
         "qdrant_point_id", "created_at"),
        [(key, asset, collection, number, text, len(text) // 4, MODEL, key, BEGIN)
         for number, (key, text) in enumerate(zip(keys, texts, strict=True))],
    )  # fmt: skip
    yield Rows(
        "das_knowledge_chunks",
        ("chunk_id", "content", "knowledge_type", "domain", "metadata", "token_count", "qdrant_point_id",
         "sequence_number", "created_at", "updated_at"),
        [(key, text, "training", "requirements", json.dumps({"collection_id": str(collection)}), len(text) // 4, key,
          number, BEGIN, BEGIN) for number, (key, text) in enumerate(zip(keys, texts, strict=True))],
    )  # fmt: skip


def _staff(recipe: Recipe) -> Iterator[Rows]:
    yield Rows(
        "das_personas",
        ("persona_id", "name", "role", "system_prompt", "capabilities", "temperature", "created_by", "created_at",
         "updated_at", "is_system"),
        [(recipe.uid("persona", role), name, role, f"You are the {role} of this team.", ["search"], 0.5, "system",
         BEGIN,
          BEGIN, True) for name, role in _PERSONAS],
    )  # fmt: skip
    yield Rows(
        "das_teams",
        ("team_id", "name", "persona_ids", "created_by", "created_at", "updated_at"),
        [(recipe.uid("team", "review"), "Review team", [recipe.uid("persona", role) for _, role in _PERSONAS], "system",
          BEGIN, BEGIN)],
    )  # fmt: skip
    yield Rows(
        "das_runtime_tools",
        ("tool_id", "name", "tool_type", "code", "created_by", "created_at", "updated_at", "last_used_at"),
        [
            (
                recipe.uid("tool", "margin"),
                "margin",
                "calculator",
                "allowable / applied - 1",
                "das_service",
                BEGIN,
                BEGIN,
                BEGIN,
            )
        ],
    )
    yield Rows(
        "das_interactions",
        ("interaction_id", "interaction_type", "user_id", "project_id", "query", "response", "created_at"),
        [(recipe.uid("interaction", w.cwe_id), "query", str(user_id(recipe, "viewer")), project_id(recipe, "se"),
          f"Explain CWE-{w.cwe_id}", w.description, BEGIN) for w in by_family()[:10]],
    )  # fmt: skip


def _index(recipe: Recipe) -> Iterator[Rows]:
    keys = [(recipe.uid("index", p.key), p) for p in PROJECTS]
    yield Rows(
        "system_index",
        ("index_id", "entity_type", "entity_id", "content_summary", "project_id", "domain", "indexed_at", "updated_at"),
        [(key, "project", str(project_id(recipe, p.key)), p.purpose, project_id(recipe, p.key), p.domain, BEGIN, BEGIN)
         for key, p in keys],
    )  # fmt: skip
    yield Rows(
        "system_index_vectors",
        ("vector_id", "index_id", "content", "token_count", "qdrant_point_id", "created_at"),
        [(recipe.uid("index_vector", p.key), key, f"{p.name}: {p.purpose}", len(p.purpose) // 4,
          recipe.uid("index_vector", p.key), BEGIN) for key, p in keys],
    )  # fmt: skip
