"""The real embedding model, fetched once into the shared cache."""

from __future__ import annotations

import os
from pathlib import Path

import numpy
import pytest

from data_workbench.embedding import Embedder, open_embedder
from data_workbench.settings import Settings

TEXTS = [
    "The software writes past the end of a buffer.",
    "",
    "How to bake bread with rye flour.",
    "Réservoir d'essence – température ≤ 40 °C 🚀",
    "buffer overflow " * 400,
    "A write beyond the bounds of an allocated memory region.",
]


@pytest.fixture(scope="module")
def model() -> Embedder:
    repository = Path(__file__).resolve().parents[3]
    cache = os.environ.get("WORKBENCH_CACHE") or str(repository / ".workbench" / "cache")
    return open_embedder("all-MiniLM-L6-v2", Settings(cache=cache))


def test_vectors_are_unit_float32_of_384(model: Embedder) -> None:
    vectors = model.embed(TEXTS)
    assert (vectors.dtype, vectors.shape) == (numpy.dtype("float32"), (len(TEXTS), model.dimension))
    assert numpy.allclose(numpy.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert model.embed([]).shape == (0, 384)


def test_a_text_alone_has_bit_for_bit_the_vector_it_has_in_a_batch(model: Embedder) -> None:
    together = model.embed(TEXTS * 20)
    alone = numpy.vstack([model.embed([text]) for text in TEXTS])
    assert (together[: len(TEXTS)] == alone).all()


def test_near_in_meaning_is_near_in_space(model: Embedder) -> None:
    overflow, _, bread, _, _, beyond = model.embed(TEXTS)
    assert overflow @ beyond > 0.5 > overflow @ bread


def test_the_vector_is_the_one_sentence_transformers_publishes(model: Embedder) -> None:
    """The model card's example: these two sentences, cosine 0.5 to 0.7 in every correct implementation."""
    first, second = model.embed(["This is an example sentence", "Each sentence is converted"])
    assert first[:3] == pytest.approx([0.0676569, 0.0634959, 0.0487131], abs=1e-5)
    assert second[:3] == pytest.approx([0.0864386, 0.1027626, 0.0053946], abs=1e-5)


def test_text_beyond_256_word_pieces_does_not_change_the_vector(model: Embedder) -> None:
    first, second = model.embed(["word " * 254 + "pump", "word " * 254 + "orbit"])
    assert (first == second).all()
