"""Prefixes stand for the beginning of IRIs; what is a whole IRI stays one, and what is neither is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.mapping.iri_prefixes import KNOWN, Prefixes, UnknownPrefix, local_name, problem_of

ONTO = Prefixes({"ex": "https://example.org/ontology#", "part": "https://example.org/ontology#part/"})


@pytest.mark.parametrize(
    ("text", "iri"),
    [
        ("ex:Component", "https://example.org/ontology#Component"),
        ("rdfs:label", "http://www.w3.org/2000/01/rdf-schema#label"),
        ("ex:item/{id}", "https://example.org/ontology#item/{id}"),
        ("https://example.org/x", "https://example.org/x"),
        ("urn:iso:std:iso:1", "urn:iso:std:iso:1"),
        ("spark://host/x", "spark://host/x"),
        ("{+iri}", "{+iri}"),
        ("no colon", "no colon"),
    ],
)
def test_a_text_becomes_a_whole_iri(text: str, iri: str) -> None:
    assert ONTO.expand(text) == iri


def test_a_prefix_that_nobody_declared_is_no_scheme() -> None:
    with pytest.raises(UnknownPrefix) as caught:
        ONTO.expand("exx:Component")
    assert caught.value.prefix == "exx"


def test_a_file_may_mean_another_vocabulary_by_a_known_prefix() -> None:
    assert Prefixes({"dc": "urn:mine:"}).expand("dc:title") == "urn:mine:title"


def test_an_iri_is_shortened_by_the_prefix_that_covers_most_and_only_if_it_is_read_back() -> None:
    assert ONTO.shorten("https://example.org/ontology#part/9") == "part:9"
    assert ONTO.shorten("https://example.org/ontology#a/b") == "https://example.org/ontology#a/b"
    assert ONTO.shorten("https://elsewhere.org/x") == "https://elsewhere.org/x"


@given(st.text(max_size=20), st.sampled_from([*ONTO.declared.values(), *KNOWN.values(), "https://elsewhere.org/"]))
def test_what_was_shortened_expands_to_what_it_was(rest: str, begins: str) -> None:
    iri = begins + rest
    assert ONTO.expand(ONTO.shorten(iri)) == iri


def test_a_prefix_cannot_be_a_scheme_nor_run_into_what_follows() -> None:
    assert problem_of("urn", "https://example.org/#") == "'urn' is a scheme of IRIs"
    assert "ex:name would be https://example.org/ontoname" in (problem_of("ex", "https://example.org/onto") or "")
    assert problem_of("ex", "https://example.org/onto#") is None


@pytest.mark.parametrize(
    ("iri", "name"), [("https://x.org/onto#massKg", "massKg"), ("urn:x:Part", "Part"), ("https://x.org/a/", "a")]
)
def test_the_last_word_of_an_iri_is_its_name(iri: str, name: str) -> None:
    assert local_name(iri) == name
