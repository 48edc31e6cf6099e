"""IRIs made of a row's values, and the values taken out of them again.

    https://example.org/requirement/{requirement_id}       the value percent-encoded, as in RFC 6570
    {+homepage}                                            the value is an IRI, put in as it is

Between two places stands at least one character that an encoded value never has (`/`, `#`, `:`, `?`, …), so an IRI is
read back in one way only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, unquote

_PLACE = re.compile(r"\{(\+?)([^{}]+)\}")
_NOT_IN_IRI = re.compile(r"[\x00-\x20<>\"{}|\\^`]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SEPARATES = re.compile(r"[^A-Za-z0-9._~%-]")


def is_iri(text: str) -> bool:
    """Whether a text can stand between `<` and `>`: absolute, and without the characters that may not be there."""
    return _SCHEME.match(text) is not None and _NOT_IN_IRI.search(text) is None


@dataclass(frozen=True)
class IriTemplate:
    """A template; `problem` says what is wrong with one that was written by hand."""

    text: str

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns it takes values of, in their order."""
        return tuple(match[2] for match in _PLACE.finditer(self.text))

    @property
    def problem(self) -> str | None:
        """Why the template cannot be used, or None."""
        between = _PLACE.split(self.text)[::3]
        if not self.columns:
            return "it names no column"
        if len(set(self.columns)) != len(self.columns):
            return "it names a column twice"
        if any(not _SEPARATES.search(part) for part in between[1:-1]):
            return "two columns stand side by side: put a / or # between them"
        if "{+" in self.text and (len(self.columns) > 1 or between != ["", ""]):
            return "{+column} stands alone: its value is the whole IRI"
        if "{+" not in self.text and not is_iri("x".join(between)):
            return "it is no absolute IRI"
        return None

    def fill(self, values: Mapping[str, str]) -> str | None:
        """The IRI of these values; None if what comes out is none."""

        def place(match: re.Match[str]) -> str:
            value = values[match[2]]
            return value if match[1] else quote(value, safe="")

        made = _PLACE.sub(place, self.text)
        return made if is_iri(made) else None

    def take(self, iri: str) -> dict[str, str] | None:
        """The values an IRI was filled with; None if it is not of this template."""
        found = self._pattern.fullmatch(iri)
        if found is None:
            return None
        taken = {}
        for name, raw, value in zip(self.columns, self._raw, found.groups(), strict=True):
            taken[name] = value if raw else unquote(value)
        return taken

    @cached_property
    def _raw(self) -> list[bool]:
        return [bool(match[1]) for match in _PLACE.finditer(self.text)]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pieces = _PLACE.split(self.text)
        made = [re.escape(pieces[0])]
        for plus, after in zip(pieces[1::3], pieces[3::3], strict=True):
            made += ["(.+)" if plus else "([A-Za-z0-9._~%-]*)", re.escape(after)]
        return re.compile("".join(made))


def fill_all(template: IriTemplate, rows: Iterable[Mapping[str, str | None]]) -> list[str | None]:
    """The IRI of each row; None where a value is null or makes none."""
    made: list[str | None] = []
    for row in rows:
        values = {name: value for name in template.columns if (value := row[name]) is not None}
        made.append(template.fill(values) if len(values) == len(template.columns) else None)
    return made
