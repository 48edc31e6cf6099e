"""Prefixes that stand for the beginning of IRIs, as in Turtle: `rdfs:label` for the whole of it.

An IRI with a scheme of its own (`https://…`, `urn:…`) is none of a prefix, and a prefix that nobody has declared is a
mistake: left alone it would pass for a scheme, and `ex:mass` would be written as if it were an IRI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

KNOWN: Final[Mapping[str, str]] = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "prov": "http://www.w3.org/ns/prov#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "sh": "http://www.w3.org/ns/shacl#",
}
"""Prefixes that mean the same everywhere, as https://prefix.cc has them; a file may say otherwise."""
SCHEMES: Final = frozenset({
    "http", "https", "ftp", "file", "urn", "tag", "info", "mailto", "did", "doi", "data", "ark", "geo", "tel", "news",
})  # fmt: skip
"""Schemes of IRIs that are written without `//`, and those that cannot be prefixes."""
_LOCAL = re.compile(r"([^/#:]+)[/#:]*$")


class UnknownPrefix(ValueError):
    """`prefix` was declared nowhere."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"{prefix!r} is no prefix")
        self.prefix = prefix


@dataclass(frozen=True)
class Prefixes:
    """The prefixes of one file, over those that are known everywhere."""

    declared: Mapping[str, str] = field(default_factory=dict)

    def expand(self, text: str) -> str:
        """The whole IRI, or the template of one. Raises UnknownPrefix."""
        prefix, colon, rest = text.partition(":")
        if not colon or rest.startswith("//") or "{" in prefix:
            return text
        begins = self.declared.get(prefix, KNOWN.get(prefix))
        if begins is not None:
            return begins + rest
        if prefix.lower() in SCHEMES:
            return text
        raise UnknownPrefix(prefix)

    def shorten(self, iri: str) -> str:
        """An IRI by the declared prefix that covers most of it; as it is if none does, or a reader might err."""
        fitting = [name for name, begins in self.declared.items() if iri.startswith(begins)]
        for name in sorted(fitting, key=lambda one: -len(self.declared[one])):
            rest = iri.removeprefix(self.declared[name])
            if re.fullmatch(r"[\w.{}~-]+", rest):
                return f"{name}:{rest}"
        return iri


def problem_of(prefix: str, begins: str) -> str | None:
    """Why a prefix cannot be declared so; None if it can."""
    if prefix.lower() in SCHEMES:
        return f"{prefix!r} is a scheme of IRIs"
    if begins[-1:].isalnum():
        return f"{begins!r} ends in no # or /, so {prefix}:name would be {begins}name"
    return None


def local_name(iri: str) -> str:
    """The last word of an IRI, or all of it if it has none."""
    found = _LOCAL.search(iri)
    return found[1] if found else iri
