"""What a step says that asks the outside: `enrich` and `embed`. Cheap to import: `lint` does for every file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from data_workbench.connectors.http.paths import PathText
from data_workbench.connectors.rest.options import Scalar, placeholders, refuse_secrets
from data_workbench.records.definitions import ColumnName, Duration, Expression, Mistake, Model, Name, Text

Unavailable = Literal["keep", "mark", "quarantine", "fail"]
OnFailure = Literal["quarantine", "null", "fail"] | None
"""None is how YAML reads `on_failure: null`."""

PROVENANCE = "_provenance"
CONFIDENCE = "_confidence"
"""What is put behind a field's name for the columns that tell where its value comes from, and how sure it is."""

UNAVAILABLE, UNUSABLE, NOTHING = "unavailable", "unusable", "nothing"
"""What a provenance says where no value came from the outside."""

KINDS = ("rest", "graph", "nearest", "records")
"""What can be asked."""

_ROW = re.compile(r"\brow\.(?:`([^`]+)`|([A-Za-z_]\w*))")
_LABEL = re.compile(r"\(\s*\w*\s*:\s*`?([A-Za-z_]\w*)")
_PARAM = re.compile(r"\$([a-z][a-z0-9_]{0,62})")
_TEXTS = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|//[^\n]*|/\*.*?\*/", re.DOTALL)
_WRITES = re.compile(
    r"(?<![.:`$])\b(create|merge|delete|detach|set|remove|drop|foreach|load\s+csv|call|use|grant|deny|revoke)\b",
    re.IGNORECASE,
)


def told_columns(names: Iterable[str], *, provenance: bool) -> list[str]:
    """New columns, and those beside them that tell of them."""
    if not provenance:
        return list(names)
    return [one for name in names for one in (name, name + PROVENANCE, name + CONFIDENCE)]


class Batch(Model):
    """Ask about several rows at once: a placeholder stands for the list of their values."""

    size: int = Field(100, ge=1, le=10_000, description="Rows in one request")
    match: dict[Name, PathText] = Field(
        min_length=1, description="name of given: where its value stands in an answer's record"
    )


class Rest(Model):
    """A REST API, asked once for each different row, or for many at once."""

    path: Text = Field(description="Path below the connection's base URL; {name} is a value of given")
    method: Literal["GET", "POST"] = Field("GET", description="POST for a search that takes a body")
    params: dict[str, Scalar] = Field(
        default_factory=dict, description="Query parameters; {name} is a value of given, $name a param of the pipeline"
    )
    body: dict[str, Any] | None = Field(None, description="JSON body of a POST, with {name} and $name likewise")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers beside the connection's; no secrets")
    select: PathText | None = Field(
        None, description="Where the record or the records stand in the answer; left out: the answer itself"
    )
    batch: Batch | None = Field(None, description="Ask about several rows in one request")
    parallel: int = Field(4, ge=1, le=32, description="Requests under way at the same time")
    requests_per_second: float | None = Field(
        None, gt=0, le=10_000, description="No more than this is asked; left out: what the connection says"
    )
    timeout: float | None = Field(None, gt=0, le=3600, description="Seconds without a byte; left out: the connection's")
    tries: int | None = Field(None, ge=1, le=20, description="Tries of one request; left out: the connection's")

    @model_validator(mode="after")
    def _fits_together(self) -> Rest:
        if self.body is not None and self.method != "POST":
            raise Mistake("a body needs method: POST", at="body")
        if self.batch is not None and placeholders(self.path):
            hint = "put the values into params or the body"
            raise Mistake("a path with {placeholders} asks about one row, not a batch", at="path", hint=hint)
        refuse_secrets(self.headers, self.params)
        return self

    def names(self) -> Iterator[str]:
        """Values of `given` that the request is made of."""
        for text in _strings([self.path, self.params, self.body]):
            yield from placeholders(text)

    @property
    def what(self) -> str:
        """What is asked, in a word."""
        return self.path


class Graph(Model):
    """Records that a Cypher query gives for each row, as its neighbours in the graph. It reads only."""

    query: Text = Field(
        description="MATCH … RETURN … AS name; `row.name` is a value of given, $name a param of the pipeline"
    )
    size: int = Field(500, ge=1, le=10_000, description="Rows in one request")

    @model_validator(mode="after")
    def _reads_only(self) -> Graph:
        found = _WRITES.search(self.plain)
        if found:
            hint = "an enrichment reads: MATCH, OPTIONAL MATCH, WHERE, WITH, UNWIND, RETURN, ORDER BY, LIMIT"
            raise Mistake(f"{found[0].upper()} may not stand in the query", at="query", hint=hint)
        if not re.search(r"\breturn\b", self.plain, re.IGNORECASE):
            raise Mistake("the query has no RETURN", at="query", hint="end it with RETURN n.name AS name")
        return self

    @property
    def plain(self) -> str:
        """The query without its texts and comments."""
        return _TEXTS.sub(" ", self.query)

    def names(self) -> Iterator[str]:
        """Values of `given` that the query looks at."""
        for quoted, bare in _ROW.findall(self.plain):
            yield quoted or bare

    @property
    def params(self) -> list[str]:
        """Params of the pipeline that the query looks at."""
        return list(dict.fromkeys(_PARAM.findall(self.plain)))

    @property
    def what(self) -> str:
        """The last label that the query names, of which answers mostly are."""
        labels = _LABEL.findall(self.plain)
        return labels[-1] if labels else "graph"


class Nearest(Model):
    """The points of a collection that are nearest to each row's vector, or to its text under the collection's model."""

    collection: Text = Field(description="The collection of a Qdrant connection")
    vector: Name | None = Field(None, description="The value of given that is a vector")
    text: Name | None = Field(None, description="The value of given that is a text; `model` makes its vector")
    model: Text | None = Field(None, description="The model that the collection's vectors were made with")
    limit: int = Field(1, ge=1, le=1000, description="So many points at most")
    min_score: float | None = Field(None, description="Points with a lower score are none")
    using: Text | None = Field(None, description="Name of the vector, if the collection has named ones")
    exact: bool = Field(False, description="Look at every point instead of the index")
    without: Name | None = Field(
        None, description="The value of given that is the row's own key: its point is not its neighbour"
    )
    where: dict[Text, Scalar] = Field(
        default_factory=dict, description="payload key: value that points have to have; $name is a param"
    )
    size: int = Field(100, ge=1, le=1000, description="Rows in one request")

    @model_validator(mode="after")
    def _one_vector(self) -> Nearest:
        if (self.vector is None) == (self.text is None):
            raise Mistake("nearest takes one of vector and text", at="collection", hint="text needs a model, too")
        if (self.text is None) != (self.model is None):
            at = "model" if self.text is None else "text"
            raise Mistake("text and model belong together", at=at, hint="model: all-MiniLM-L6-v2, say")
        return self

    def names(self) -> Iterator[str]:
        """Values of `given` that are looked at."""
        yield from (one for one in (self.vector, self.text, self.without) if one is not None)

    @property
    def what(self) -> str:
        """What is asked, in a word."""
        return self.collection


class Records(Model):
    """The rows of a stream that have the values of given: a table, a label, a collection or a file."""

    stream: Text = Field(description="The connection's table, label, collection or file")
    on: dict[Name, ColumnName] = Field(min_length=1, description="name of given: column there")
    where: Expression | None = Field(None, description="SQL condition on the rows there")
    options: dict[str, Any] = Field(default_factory=dict, description="What only this connector knows")
    size: int = Field(1000, ge=1, le=10_000, description="Rows in one request")

    def names(self) -> Iterator[str]:
        """Values of `given` that are looked at."""
        yield from self.on

    @property
    def what(self) -> str:
        """What is asked, in a word."""
        return self.stream


class Taken(Model):
    """Where a new column's value stands in a record, and its type."""

    from_: PathText = Field(
        alias="from", description="Where it stands in a record; of a point: id, score or a payload key"
    )
    type: Text = Field("text", description="Its type, as text, integer, number, date, json, …")
    required: bool = Field(False, description="A record without it is no answer that can be used")


class Enrich(Model):
    """Add columns from outside: a REST API, the graph, the nearest vectors, or a stream asked by keys."""

    connection: Text = Field(description="Connection id of what is asked")
    given: dict[Name, ColumnName] = Field(
        min_length=1,
        max_length=20,
        description="name in the request: column here; a row with a NULL there asks nothing",
    )
    rest: Rest | None = Field(None, description="Ask a REST API")
    graph: Graph | None = Field(None, description="Ask a Neo4j graph by Cypher")
    nearest: Nearest | None = Field(None, description="Ask a Qdrant collection for the nearest points")
    records: Records | None = Field(None, description="Ask a stream for the rows with these values")
    take: dict[ColumnName, PathText | Taken] = Field(
        min_length=1, description="new column: where its value stands in a record, as text, or more about it"
    )
    into: ColumnName | None = Field(
        None, description="One column with the list of all records, instead of columns with the values of the first"
    )
    confidence: PathText | None = Field(
        None, description="Where a record says how sure it is; left out: 1, and the score of a nearest point"
    )
    provenance: bool = Field(True, description="Add NAME_provenance and NAME_confidence for each new column NAME")
    missing: Literal["null", "quarantine"] | None = Field(
        None, description="What happens to a row of which nothing is known: null (the default) or quarantine"
    )
    on_failure: OnFailure = Field(
        "quarantine",
        description="An answer that cannot be used: quarantine sets its row aside, null goes on with a warning, fail "
        "ends the run",
    )
    on_unavailable: Unavailable = Field(
        "fail",
        description="No answer: keep goes on with NULL, mark too and reads the row again in the next run, quarantine "
        "sets it aside, fail ends the run",
    )
    cache: Duration | None = Field(None, description="Answers are remembered so long, for later runs; 1d, say")

    @property
    def taken(self) -> dict[str, Taken]:
        """What `take` says, each with its type."""
        return {name: Taken(from_=one, type="text") if isinstance(one, str) else one for name, one in self.take.items()}

    @property
    def asks(self) -> Rest | Graph | Nearest | Records:
        """What is asked."""
        found = self.rest or self.graph or self.nearest or self.records
        assert found is not None
        return found

    @property
    def kind(self) -> Literal["rest", "graph", "nearest", "records"]:
        """The key of what is asked."""
        if self.records is not None:
            return "records"
        return "rest" if self.rest else "graph" if self.graph else "nearest"

    @property
    def made(self) -> list[str]:
        """The columns with the answers' values."""
        return [self.into] if self.into is not None else list(self.take)

    @property
    def columns(self) -> list[str]:
        """All new columns."""
        return told_columns(self.made, provenance=self.provenance)

    @model_validator(mode="after")
    def _asks_one(self) -> Enrich:
        kinds = [name for name in KINDS if getattr(self, name) is not None]
        if len(kinds) != 1:
            told = f"has {' and '.join(kinds)}" if kinds else "asks nothing"
            raise Mistake(f"enrich {told}", at=kinds[-1] if kinds else "connection", hint=f"one of {', '.join(KINDS)}")
        for name in self.asks.names():
            if name not in self.given and not (name == "rows" and self.rest and self.rest.batch):
                raise Mistake(f"nothing gives {name!r} a value", at=self.kind, hint=f"add {name}: COLUMN to given")
        if self.on_unavailable == "mark" and not self.provenance:
            raise Mistake("mark writes the provenance", at="on_unavailable", hint="leave provenance: false out")
        if self.rest is not None and self.rest.batch is not None:
            strange = sorted(set(self.given) - set(self.rest.batch.match))
            if strange:
                hint = f"say in match where {strange[0]} stands in a record"
                raise Mistake("a batch's answers cannot be told apart", at="rest", hint=hint)
        return self


class Embed(Model):
    """A column with the vectors of a text column."""

    text: ColumnName = Field(description="The column with the texts; NULL has no vector")
    model: Text = Field("all-MiniLM-L6-v2", description="The model that makes the vectors")
    into: ColumnName = Field("vector", description="The new column")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, str):
        yield value
