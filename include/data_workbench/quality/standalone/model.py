"""What a contract file may say."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from data_workbench.quality.contract import ColumnContract, Contract
from data_workbench.records.definitions import (
    ColumnName,
    Columns,
    Duration,
    Expression,
    GraphName,
    Mistake,
    Model,
    Name,
    Text,
)

Severity = Literal["fail", "warn"]
Direction = Literal["out", "in", "any"]


def parse_share(value: object) -> object:
    """Check a share written as text; leave other types to their own mistakes."""
    if isinstance(value, str) and not _SHARE.fullmatch(value):
        raise ValueError(f"{value!r} is no share; write for example 99% or 99.5%")
    return value


_SHARE = re.compile(r"(100|\d{1,2}(\.\d{1,3})?)%")
Share = Annotated[str, BeforeValidator(parse_share)]


class Rows(Model):
    """How many rows there are."""

    min: int | None = Field(None, ge=0, description="At least so many")
    max: int | None = Field(None, ge=0, description="At most so many")


class Freshness(Model):
    """How old the newest row may be."""

    column: ColumnName = Field(description="A date or timestamp; without a zone it is UTC")
    within: Duration = Field(description="The newest value is no older than this")


class ServiceLevel(Model):
    """How often the contract holds."""

    passed: Share = Field(description="Share of the evaluated checks that passed, such as 99.5%")
    over: Duration = Field(description="Within this time, up to now")


class Other(Model):
    """Rows of another dataset, in the same store or in another one."""

    connection: Text = Field(description="Connection id of the other store")
    stream: Text = Field(description="Its table, label, collection or file")
    on: dict[ColumnName, ColumnName] = Field(
        min_length=1, description="column here: column there, compared as text, so that a UUID meets its text"
    )
    where: Expression | None = Field(None, description="Only rows of the other dataset for which this SQL holds")


class Agreement(Other):
    """Rows that are copies of rows elsewhere."""

    columns: dict[ColumnName, ColumnName] = Field(
        min_length=1, description="column here: column there, of which the values are equal"
    )


class RelationshipCheck(Model):
    """How many relationships of a type each node has, and with which nodes."""

    type: GraphName = Field(description="Type of the relationships")
    direction: Literal["out", "in"] = Field("out", description="Seen from the node of the contract")
    to: list[GraphName] = Field(default_factory=list, description="Labels of which the other node has one; any if none")
    min: int = Field(0, ge=0, description="At least so many")
    max: int | None = Field(None, ge=0, description="At most so many")


class PathCheck(Model):
    """A way that leads from each node to a node of a label."""

    types: list[GraphName] = Field(min_length=1, description="Types of the relationships on the way")
    direction: Direction = Field("out", description="In which direction they are followed")
    to: GraphName = Field(description="Label at the end of the way")
    within: int = Field(5, ge=1, le=30, description="Relationships at most")


class AcyclicCheck(Model):
    """Nodes from which no way leads back to themselves, however long."""

    types: list[GraphName] = Field(min_length=1, description="Types of the relationships")


class EndsCheck(Model):
    """Labels at the two ends of each relationship; of a contract on a `[:TYPE]` stream."""

    from_: list[GraphName] = Field(alias="from", min_length=1, description="Labels of which the first node has one")
    to: list[GraphName] = Field(min_length=1, description="Labels of which the second node has one")


class VectorCheck(Model):
    """What the vectors of a column are."""

    column: ColumnName = Field("vector", description="The column with the vectors")
    dimension: int | None = Field(None, ge=1, description="Numbers in each vector")
    min_norm: float | None = Field(None, ge=0, description="Least length of a vector")
    max_norm: float | None = Field(None, gt=0, description="Greatest length of a vector")
    distinct: bool = Field(False, description="No vector twice")


class TextCheck(Other):
    """Vectors that were made of the text as it is now: their stamp is compared with the text's hash."""

    text: ColumnName = Field(description="The text's column there")


class Check(Model):
    """One more promise; exactly one kind."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=120)] | None = Field(
        None, description="How results name it; told from the kind if left out"
    )
    severity: Severity | None = Field(None, description="fail or warn, where it differs from the contract's")
    condition: Expression | None = Field(None, description="SQL over the columns that holds for every row")
    references: Other | None = Field(None, description="Each row has its row elsewhere; nulls are not looked for")
    covers: Other | None = Field(None, description="Each row elsewhere has its row here")
    agrees: Agreement | None = Field(None, description="Values equal those of the row elsewhere")
    relationship: RelationshipCheck | None = Field(None, description="Graph: how many, and with which nodes")
    path: PathCheck | None = Field(None, description="Graph: a way that each node needs")
    acyclic: AcyclicCheck | None = Field(None, description="Graph: no node reaches itself")
    connected: Literal[True] | None = Field(None, description="Graph: no node without any relationship")
    labels: list[GraphName] | None = Field(None, min_length=1, description="Graph: the only labels a node may have")
    properties: Columns | None = Field(None, description="Graph: the only properties a node may have")
    ends: EndsCheck | None = Field(None, description="Graph: labels at both ends of a relationship")
    simple: Literal[True] | None = Field(None, description="Graph: no relationship twice, none from a node to itself")
    vectors: VectorCheck | None = Field(None, description="Vectors: finite, and dimension, norm, duplicates")
    model: Text | None = Field(None, description="Vectors: the model that each point's stamp names")
    text: TextCheck | None = Field(None, description="Vectors: none is older than its text")

    KINDS: ClassVar[tuple[str, ...]] = (
        "condition", "references", "covers", "agrees", "relationship", "path", "acyclic", "connected", "labels",
        "properties", "ends", "simple", "vectors", "model", "text",
    )  # fmt: skip
    GRAPH: ClassVar[frozenset[str]] = frozenset(
        {"relationship", "path", "acyclic", "connected", "labels", "properties", "ends", "simple"}
    )

    @property
    def kind(self) -> str:
        """The one kind that is given."""
        return next(name for name in self.KINDS if getattr(self, name) is not None)

    @property
    def title(self) -> str:
        """The name of its result."""
        return self.name or _title(self.kind, getattr(self, self.kind))

    @model_validator(mode="after")
    def _one_kind(self) -> Check:
        given = [name for name in self.KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise Mistake(f"a check has exactly one kind, here {found}", hint=f"one of {', '.join(self.KINDS)}")
        return self


def _title(kind: str, value: object) -> str:
    match value:
        case Other():
            return f"{kind} {', '.join(value.on)}"
        case RelationshipCheck():
            return f"{kind} {value.type} {value.direction}"
        case PathCheck():
            return f"{kind} to {value.to}"
        case AcyclicCheck():
            return f"{kind} {', '.join(value.types)}"
        case VectorCheck():
            return f"{kind} {value.column}"
        case str():
            return f"{kind} {value}"
    return kind


class StandaloneContract(Model):
    """What a dataset promises, by itself: a file in `dags/contracts`."""

    page: ClassVar[str] = "contracts.md"

    version: Literal[1] = Field(description="Version of the language")
    contract: Name = Field(description="The contract's name, the same as its file's")
    description: Text | None = Field(None, description="What the dataset is, for its users")
    owner: Text | None = Field(None, description="Who answers for it")
    connection: Text = Field(description="Connection id, or a file: URL")
    stream: Text = Field(description="Table, view, label, [:TYPE], collection or file")
    severity: Severity = Field("fail", description="What a broken check is: failed, or only a warning")
    where: Expression | None = Field(None, description="Only rows for which this SQL holds are looked at")
    derive: dict[ColumnName, Expression] = Field(
        default_factory=dict, description="new: SQL; columns to be checked that do not stand there as such"
    )
    columns: dict[ColumnName, ColumnContract] = Field(default_factory=dict, description="Promises by column")
    unique: list[Columns] = Field(
        default_factory=list, description="Column lists of which no combination may occur twice"
    )
    profile: bool = Field(False, description="Take a profile each time, whose metrics are watched for what is unusual")
    rows: Rows | None = Field(None, description="How many rows there are")
    freshness: Freshness | None = Field(None, description="How old the newest row may be")
    service_level: ServiceLevel | None = Field(None, description="How often the contract holds")
    checks: list[Check] = Field(default_factory=list, max_length=1000, description="Promises beyond single columns")

    @property
    def dataset(self) -> str:
        """CONNECTION:STREAM."""
        return f"{self.connection}:{self.stream}"

    @property
    def promises(self) -> Contract:
        """The part that contracts inside pipelines have, too."""
        return Contract(columns=self.columns, unique=self.unique, on_invalid="warn")

    @model_validator(mode="after")
    def _names(self) -> StandaloneContract:
        titles = [one.title for one in self.checks]
        twice = next((one for one in titles if titles.count(one) > 1), None)
        if twice is not None:
            raise Mistake(f"two checks are called {twice!r}", at="checks", hint="give them a name each")
        if self.stream.startswith("[:"):
            wrong = next((one for one in self.checks if one.kind in Check.GRAPH - {"ends", "simple"}), None)
            if wrong is not None:
                raise Mistake(f"{wrong.kind!r} is about nodes, {self.stream} are relationships", at="checks")
        return self
