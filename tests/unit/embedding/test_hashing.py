"""The embedder without a model."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.embedding import check_model, known_models, open_embedder
from data_workbench.errors import UsageError
from data_workbench.settings import Settings


def test_equal_texts_are_equal_and_related_texts_are_near() -> None:
    embedder = open_embedder("hashing-384", Settings())
    same, again, near, far = embedder.embed(
        ["the pump shall start", "The pump, shall start!", "the pump shall stop", "orbital decay of satellites"]
    )
    assert (same == again).all()
    assert same @ near > same @ far


def test_vectors_are_known_values_so_that_another_version_is_noticed() -> None:
    vector = open_embedder("hashing-8", Settings()).embed(["pump"])[0]
    assert vector.dtype == numpy.float32
    assert numpy.count_nonzero(vector) == 1
    assert vector.tolist() == _PUMP


_PUMP = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0]


def test_a_text_without_words_has_a_defined_vector() -> None:
    vectors = open_embedder("hashing-16", Settings()).embed(["", "…", "  "])
    assert (vectors[:, 0] == 1.0).all()
    assert (vectors[:, 1:] == 0.0).all()


def test_no_texts_make_an_empty_array_of_the_right_width() -> None:
    assert open_embedder("hashing-16", Settings()).embed([]).shape == (0, 16)


@given(st.lists(st.text(), max_size=8))
def test_every_vector_has_length_one_whatever_the_text(texts: list[str]) -> None:
    vectors = open_embedder("hashing-32", Settings()).embed(texts)
    assert vectors.shape == (len(texts), 32)
    assert numpy.allclose(numpy.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["", "hashing-7", "hashing-4097", "hashing-", "hashing-0x10", "all-minilm-l6-v2", "ada"]
)
def test_an_unknown_model_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_model(name)
    assert all(known in str(caught.value.hint) for known in known_models())


def test_a_dimension_is_told_without_loading_a_model() -> None:
    assert check_model("all-MiniLM-L6-v2") == 384
    assert check_model("hashing-100") == 100


def test_a_model_is_opened_once_per_process() -> None:
    assert open_embedder("hashing-64", Settings()) is open_embedder("hashing-64", Settings())
