"""What a stream's name means, and the SPARQL that reads it.

graph:IRI        the triples of a named graph; graph:default those of the default graph, graph:* all
class:IRI        the instances of a class, a column for each property
anything else    the SELECT of `options: {query: …}`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from data_workbench.connectors.options import read_options
from data_workbench.connectors.rdf.queries import bound_query
from data_workbench.errors import StreamUnknown, UsageError
from data_workbench.mapping.iri_templates import is_iri
from data_workbench.mapping.rdf_values import Term, iri, literal
from data_workbench.records.definitions import Model

OWN = "urn:data-workbench:"
"""Graphs with this beginning hold what the workbench notes; they are no streams."""
DEFAULT_GRAPH, ALL_GRAPHS = "default", "*"
_FOREIGN = f'FILTER(!STRSTARTS(STR(?%s), "{OWN}"))'


class RdfOptions(Model):
    """`options` of a source that reads RDF."""

    query: str | None = Field(None, min_length=6, max_length=100_000, description="A SELECT, instead of a stream")
    bind: dict[str, str] = Field(default_factory=dict, description="Texts for the query's `$name`s")
    iris: dict[str, str] = Field(default_factory=dict, description="IRIs for the query's `$name`s")
    graph: str | None = Field(None, description="Classes: only this named graph, or `default`; all if left out")
    properties: dict[str, str] = Field(default_factory=dict, description="Classes: column: IRI of a property")
    lists: list[str] = Field(default_factory=list, description="Classes: columns that are lists whatever is found")
    types: dict[str, str] = Field(default_factory=dict, description="column: type, instead of the found one")
    sample: int = Field(10_000, ge=1, le=10_000_000, description="Rows of a query looked at to find its types")

    def terms(self) -> dict[str, Term]:
        """The values of the query's names.

        Raises:
            UsageError: one is given twice, or is no IRI.
        """
        for name, value in self.iris.items():
            if name in self.bind or not is_iri(value):
                raise UsageError(f"options: iris: {name!r} is no absolute IRI, or stands in `bind` too")
        return {name: literal(value) for name, value in self.bind.items()} | {
            name: iri(value) for name, value in self.iris.items()
        }


def options_of(values: Mapping[str, Any] | None) -> RdfOptions:
    """Read a source's `options`.

    Raises:
        UsageError: an unknown option or a value of the wrong type, each named.
    """
    return read_options(RdfOptions, values, where="options of an RDF source")


@dataclass(frozen=True)
class RdfStream:
    """A stream's name, understood."""

    name: str
    kind: Literal["graph", "class", "query"]
    iri: str
    options: RdfOptions

    @property
    def bound(self) -> str:
        """The query with its values."""
        return bound_query(self.options.query or "", self.options.terms())

    def graph_query(self) -> str:
        """Triples, the graph of each last."""
        if self.iri == ALL_GRAPHS:
            inner = f"{{ ?s ?p ?o }} UNION {{ GRAPH ?g {{ ?s ?p ?o }} {_FOREIGN % 'g'} }}"
        else:
            inner = "?s ?p ?o" if self.iri == DEFAULT_GRAPH else f"GRAPH <{self.iri}> {{ ?s ?p ?o }}"
        return f"SELECT ?s ?p ?o ?g {{ {inner} }}"

    def class_pattern(self) -> str:
        """What binds ?s ?p ?o to the instances of the class, each triple once."""
        instance, triple = f"?s a <{self.iri}>", "?s ?p ?o"
        graph = self.options.graph
        if graph == DEFAULT_GRAPH:
            return f"{instance} . {triple} ."
        if graph is not None:
            return f"GRAPH <{graph}> {{ {instance} . {triple} . }}"
        places = " ".join(
            f"{{ {{ {part} }} UNION {{ GRAPH ?{name} {{ {part} }} {_FOREIGN % name} }} }}"
            for name, part in (("g1", instance), ("g2", triple))
        )
        return f"{{ SELECT DISTINCT ?s ?p ?o {{ {places} }} }}"


def understood(name: str, options: RdfOptions) -> RdfStream:
    """The stream a name stands for.

    Raises:
        UsageError: options that do not belong to it.
        StreamUnknown: the name is of no known form.
    """
    kind, _, rest = name.partition(":")
    if options.query is not None:
        if kind in ("graph", "class") or options.graph or options.properties or options.lists:
            raise UsageError(
                "options: a query takes no graph, properties, lists, nor a stream named graph:… or class:…",
                hint="give the stream a name of its own; the query says what to read",
            )
        return RdfStream(name, "query", "", options)
    if options.bind or options.iris:
        raise UsageError("options: bind and iris belong to a query", hint="add query: SELECT …")
    if options.graph is not None and options.graph != DEFAULT_GRAPH and not is_iri(options.graph):
        raise UsageError(f"options: graph: {options.graph!r} is no absolute IRI, nor `default`")
    if kind == "graph" and (rest in (DEFAULT_GRAPH, ALL_GRAPHS) or is_iri(rest)):
        return RdfStream(name, "graph", rest, options)
    if kind == "class" and is_iri(rest):
        return RdfStream(name, "class", rest, options)
    raise StreamUnknown(
        f"{name!r} is no RDF stream", hint="write graph:IRI, graph:default, graph:*, class:IRI, or give options: query"
    )


def graphs_query() -> str:
    """Named graphs and how many triples each has."""
    return f"SELECT ?g (COUNT(*) AS ?n) {{ GRAPH ?g {{ ?s ?p ?o }} {_FOREIGN % 'g'} }} GROUP BY ?g ORDER BY ?g"


def classes_query() -> str:
    """Classes and how many instances each has."""
    return (
        f"SELECT ?c (COUNT(DISTINCT ?s) AS ?n) {{ {{ ?s a ?c }} UNION {{ GRAPH ?g {{ ?s a ?c }} {_FOREIGN % 'g'} }} "
        "FILTER(isIRI(?c)) } GROUP BY ?c ORDER BY ?c"
    )
