"""What a contract file may say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from data_workbench.quality.contract import ColumnContract, Contract
from data_workbench.quality.soda_block import SodaBlock
from data_workbench.quality.standalone.kinds import (
    AcyclicCheck,
    Agreement,
    CanaryCheck,
    DistributionCheck,
    DriftCheck,
    EndsCheck,
    Freshness,
    MetName,
    Other,
    PathCheck,
    RecallCheck,
    RelationshipCheck,
    Rows,
    ServiceLevel,
    Severity,
    TextCheck,
    VectorCheck,
)
from data_workbench.records.definitions import (
    ColumnName,
    Columns,
    Expression,
    Mistake,
    Model,
    Name,
    Text,
)


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
    labels: list[MetName] | None = Field(None, min_length=1, description="Graph: the only labels a node may have")
    properties: Columns | None = Field(None, description="Graph: the only properties a node may have")
    ends: EndsCheck | None = Field(None, description="Graph: labels at both ends of a relationship")
    simple: Literal[True] | None = Field(None, description="Graph: no relationship twice, none from a node to itself")
    vectors: VectorCheck | None = Field(None, description="Vectors: finite, and dimension, norm, duplicates")
    model: Text | None = Field(None, description="Vectors: the model that each point's stamp names")
    text: TextCheck | None = Field(None, description="Vectors: none is older than its text")
    recall: RecallCheck | None = Field(None, description="Vectors: the index finds the true neighbours")
    drift: DriftCheck | None = Field(None, description="Vectors: two versions are of one distribution")
    canaries: CanaryCheck | None = Field(None, description="Vectors: searches whose answers are known")
    distribution: DistributionCheck | None = Field(None, description="How a column's values are spread")

    KINDS: ClassVar[tuple[str, ...]] = (
        "condition", "references", "covers", "agrees", "relationship", "path", "acyclic", "connected", "labels",
        "properties", "ends", "simple", "vectors", "model", "text", "recall", "drift", "canaries", "distribution",
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
        case VectorCheck() | RecallCheck() | DriftCheck() | CanaryCheck() | DistributionCheck():
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
    options: dict[str, Any] = Field(
        default_factory=dict, description="What only the store's connector knows, as in a pipeline's source"
    )
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
    soda: SodaBlock | None = Field(None, description="Checks in Soda's own words, run by Soda")

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
        counted = Counter(one.title for one in self.checks)
        twice = next((title for title, count in counted.items() if count > 1), None)
        if twice is not None:
            raise Mistake(f"two checks are called {twice!r}", at="checks", hint="give them a name each")
        if self.stream.startswith("[:"):
            wrong = next((one for one in self.checks if one.kind in Check.GRAPH - {"ends", "simple"}), None)
            if wrong is not None:
                raise Mistake(f"{wrong.kind!r} is about nodes, {self.stream} are relationships", at="checks")
        return self


def promises_named(contract: StandaloneContract) -> Iterator[str]:
    """The names of the columns' checks, where their types are not known."""
    for name, promise in contract.columns.items():
        for rule in ("required", "type", "values", "pattern", "min", "max", "min_length", "max_length", "unique"):
            if getattr(promise, rule) not in (None, False):
                yield f"{rule} {name}"
    yield from (f"unique {', '.join(group)}" for group in contract.unique)
