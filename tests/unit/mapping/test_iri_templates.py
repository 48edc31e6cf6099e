"""IRIs made of values and read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.mapping.iri_templates import IriTemplate, fill_all, is_iri

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, TEXT)
def test_what_was_filled_in_is_taken_out_again(first: str, second: str) -> None:
    template = IriTemplate("https://example.org/{a}/of/{b}#it")
    assert template.problem is None
    iri = template.fill({"a": first, "b": second})
    assert iri is not None
    assert is_iri(iri)
    assert template.take(iri) == {"a": first, "b": second}


def test_two_keys_never_make_one_iri() -> None:
    template = IriTemplate("https://example.org/{a}/{b}")
    assert template.fill({"a": "x/y", "b": "z"}) != template.fill({"a": "x", "b": "y/z"})


def test_a_whole_iri_is_taken_as_it_is_and_checked() -> None:
    template = IriTemplate("{+iri}")
    assert template.problem is None
    assert template.fill({"iri": "http://example.org/a#b"}) == "http://example.org/a#b"
    for wrong in ("no iri", "http://a/b> <http://c", "http://a/\n", ""):
        assert template.fill({"iri": wrong}) is None


def test_an_iri_of_another_form_is_not_taken() -> None:
    assert IriTemplate("https://example.org/part/{id}").take("https://example.org/part/1/2") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("https://example.org/", "no column"),
        ("https://example.org/{a}{b}", "side by side"),
        ("https://example.org/{a}-{b}", "side by side"),
        ("https://example.org/{a}/{a}", "twice"),
        ("part/{a}", "no absolute IRI"),
        ("https://example.org/{+a}", "stands alone"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(text: str, problem: str) -> None:
    assert problem in str(IriTemplate(text).problem)


def test_a_null_makes_no_iri() -> None:
    assert fill_all(IriTemplate("urn:x:{a}"), [{"a": "1"}, {"a": None}]) == ["urn:x:1", None]
