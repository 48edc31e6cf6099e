"""Names of classes and properties as ODRAS writes them, as IRIs."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from data_workbench.mapping.iri_prefixes import Prefixes, UnknownPrefix
from data_workbench.mapping.iri_templates import is_iri


class NotCarried(ValueError):
    """A part of a mapping has no counterpart here; its words say why."""


@dataclass(frozen=True)
class Vocabulary:
    """The ontology a mapping is for.

    A bare name is one of the ontology's own, `<graph>#<name>`, as ODRAS makes the IRIs of its individuals; `rdfs:label`
    has a prefix, `<https://…>` and `https://…` are whole.
    """

    graph: str
    prefixes: Prefixes = field(default_factory=Prefixes)

    @property
    def begins(self) -> str:
        """The beginning of the ontology's own IRIs."""
        return self.graph if self.graph.endswith(("#", "/")) else f"{self.graph}#"

    def iri(self, name: str) -> str:
        """The IRI of a name. Raises NotCarried."""
        text = name.strip()
        if text.startswith("<") and text.endswith(">"):
            text = text[1:-1]
        elif ":" in text:
            try:
                text = self.prefixes.expand(text)
            except UnknownPrefix as unknown:
                raise NotCarried(f"{unknown.prefix!r} is no known prefix; give --prefix {unknown.prefix}=IRI") from None
        else:
            text = self.begins + quote(text, safe="-._~")
        if not is_iri(text):
            raise NotCarried(f"{name!r} is no IRI" if self.graph else f"{name!r} belongs to no graph, so it has no IRI")
        return text
