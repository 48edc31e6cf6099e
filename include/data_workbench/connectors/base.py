"""The contract between the engine and a store.

A `Source` yields Arrow batches, a `Destination` takes them. What a store can do beyond that is data (`capabilities`)
and small separate bases in `powers.py` (`CanReadBack`, `CanDelete`, …) that callers ask for with `isinstance`.

Every method may raise `StoreUnavailable`/`StoreBusy` (try again), `AccessDenied`, `StreamUnknown`, `SchemaConflict`,
`Unsupported`; a driver's own exceptions never leave a connector (they are translated once, in its `client.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.connectors.connections import Connection
    from data_workbench.mapping.targets import LoadContext, Target
    from data_workbench.settings import Settings


# --------------------------------------------------------------------------------------------------- what is told


@dataclass(frozen=True)
class Health:
    """The answer of `check`: reachable, with which version, or why not."""

    ok: bool
    detail: str
    version: str | None = None


@dataclass(frozen=True)
class Vital:
    """One thing about a store that an operator should know before a pipeline stumbles over it.

    `value` is a number in `unit` (bytes, seconds, connections, …), a truth, or None where the store does not tell.
    `trouble` says what is wrong and what to do; None if nothing is.
    """

    name: str
    value: float | bool | None
    unit: str = ""
    trouble: str | None = None


@dataclass(frozen=True)
class Stream:
    """One table, view, label, relationship type, collection or file.

    `schema` fields carry the store's own type names (see records.types) and, under metadata key `comment`, comments.
    `key` is the primary key, or () if there is none. `unique` lists column sets the store itself guarantees to be
    unique and not null (the primary key among them); the engine then spares its own pass for duplicate keys.
    `generated` are columns the store computes and refuses to be written.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    estimated_rows: int | None = None
    comment: str | None = None
    kind: str = "table"
    generated: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceCapabilities:
    """What reading from this store can do."""

    cursor: bool = False
    """Incremental reads by a cursor column."""
    snapshot: bool = False
    """One read sees one moment of the store."""
    partitions: bool = False
    """A read can be split into key or position ranges (`CanPartition`)."""


@dataclass(frozen=True)
class DestinationCapabilities:
    """What writing to this store can do; `plan` tells it."""

    dispositions: frozenset[str]
    targets: frozenset[str]
    """Kinds of mapping.targets this store takes: table, file, node, relationship, collection, resource."""
    replace: str | None
    """How atomic a replace is: `transaction`, `rename`, `manifest`, `alias`, `versioned`, or None if it cannot."""
    transactional: bool = False
    """Batch and checkpoint are committed together, so an append is never doubled by a restart."""
    deletes: bool = False
    longest_name: int | None = None
    hooks: Literal["sql", "cypher"] | None = None
    """The language of statements it runs before and after a load: within a transactional load, or by `CanRunHooks`."""


# --------------------------------------------------------------------------------------------------- what is asked


@dataclass(frozen=True)
class CursorRequest:
    """Read what changed since `state` (from `Reading.position` of an earlier read; None means from the beginning).

    The read begins at the watermark minus `lag`, inclusive, so ties and late rows are read again; the engine removes
    what it has already seen. A store that can see transactions still open at the time of the read puts what it needs
    to find their rows later into its position.
    """

    column: str
    lag: timedelta | float | None = None
    state: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Partition:
    """One share of a stream, made by `CanPartition.partitions`; all shares together hold each row once.

    `bounds` is JSON-able and only its connector reads it: a key range, a range of pages, a snapshot to join.
    """

    name: str
    bounds: Mapping[str, Any]


@dataclass(frozen=True)
class Split:
    """A read in key ranges that any process may read at any time, made by `CanSplit.split`.

    Each key is in exactly one range. `moment` is when the stream was split, JSON-able, and only its connector reads it.
    """

    ranges: tuple[Partition, ...]
    moment: Mapping[str, Any]


@dataclass(frozen=True)
class Settled:
    """What a stream holds in one moment after all its ranges were read (`CanSplit.settle`).

    Where nothing was written since the split only `position` is told: the ranges hold that moment already. Otherwise
    the ranges' rows without the keys of `changed`, and with `changed`, are the moment's, but for keys that are gone.
    """

    position: dict[str, Any] | None
    """Of the cursor, in this moment."""
    rows: int | None = None
    """How many rows there are."""
    changed: ReadRequest | None = None
    """The rows written since the split, perhaps a few more."""
    keys: ReadRequest | None = None
    """The keys of all rows."""


@dataclass(frozen=True)
class ReadRequest:
    """What to read.

    Args:
        stream: name as `discover` gives it (PostgreSQL: `schema.table`, `table` means `public.table`).
        columns: None means all.
        where: a boolean expression in DuckDB's dialect with `$name` parameters, already checked. A source whose
            `pushes_where` says no ignores it and the engine filters afterwards.
        params: typed values for `where` and for `$name` in `options`, bound by the driver, never pasted.
        keys: only rows whose key columns equal a row of this table (for read-back and lookups); may be large.
        limit: at most so many rows, in no particular order.
        now: the run's time.
        options: what only this connector knows (a source's `options` in the pipeline file), validated by it.
        partition: only this share of the stream, from `CanPartition.partitions` or `CanSplit.split` of the same
            request without it.
    """

    stream: str
    columns: tuple[str, ...] | None = None
    where: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    cursor: CursorRequest | None = None
    keys: pa.Table | None = None
    limit: int | None = None
    now: datetime | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    partition: Partition | None = None


class Reading(ABC):
    """One read under way: its schema is known before the first batch, its position after the last."""

    schema: pa.Schema
    rejections: Sequence[Rejection] = ()
    """Records the store holds that fit no row (a ragged line of a CSV); grows while iterating. They are not among the
    rows: who counts what was read adds them, and quarantines them. `key` tells the place, e.g. {"file", "record"}."""
    is_part: bool = False
    """Whether these are only some of the stream's rows, since it has no end."""

    @abstractmethod
    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Batches of `schema`, each bounded by settings.batch_rows and batch_bytes."""

    def position(self) -> dict[str, Any] | None:
        """JSON-able cursor state to store once all destinations have confirmed; None without a cursor.

        Holds at least `watermark` (text form of the greatest cursor value seen, or the state's if nothing came).
        """
        return None

    def close(self) -> None:  # noqa: B027  # not every store has something to give back
        """Give the store's resources back; safe to call twice."""


class Source(ABC):
    """Reads one store."""

    capabilities: ClassVar[SourceCapabilities]

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.settings = settings

    @abstractmethod
    def check(self) -> Health:
        """Ask the store whether it answers; never raises for a store that is away."""

    @abstractmethod
    def discover(self, pattern: str | None = None) -> list[Stream]:
        """Streams the connection can read, `pattern` a shell-style wildcard over names (`public.*`)."""

    @abstractmethod
    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        """One stream. Raises StreamUnknown with near names."""

    def pushes_where(self, expression: str, schema: pa.Schema) -> bool:  # noqa: ARG002  # for stores that can
        """Whether the store evaluates `expression` with the meaning DuckDB gives it."""
        return False

    @abstractmethod
    def read(self, request: ReadRequest) -> Reading:
        """Begin to read."""

    def close(self) -> None:  # noqa: B027  # not every store has something to give back
        """Give connections back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


# --------------------------------------------------------------------------------------------------- writing


Effect = Literal["replace", "columns", "key", "model"]
"""Kinds of change that destroy; `pipelines.effects` has their meanings."""


@dataclass(frozen=True)
class Change:
    """One thing `plan` says a load would do to the store before any row: create, add column, widen, constraint, …"""

    action: Literal[
        "create", "add_column", "alter_column", "create_constraint", "replace", "embed_anew", "stop_column",
        "change_key", "leave", "refuse", "none",
    ]  # fmt: skip
    object: str
    detail: str = ""
    effect: Effect | None = None
    """What it destroys, if it does; a run needs leave for it (`pipelines.effects`)."""

    @property
    def destructive(self) -> bool:
        """Whether something is lost that no later run brings back."""
        return self.effect is not None


@dataclass
class Progress:
    """How far the load of one target has come in this run: parts [0, parts) are committed, with these counts."""

    parts: int = 0
    counts: WriteCounts = field(default_factory=WriteCounts)
    finished: bool = False


@dataclass(frozen=True)
class Rejection:
    """A record a store refused: goes to the quarantine with the reason."""

    key: Mapping[str, Any]
    rule: str
    reason: str


class Writer(ABC):
    """Loads one target in one run, part by part; use as a context manager, which rolls back what is not committed.

        with destination.open(target, schema, context) as writer:
            for index in range(writer.progress.parts, len(parts)):
                writer.write(parts[index], index)     # commits the part and the progress with it where it can
            counts = writer.finish()

    Parts hold the target's input columns plus records.marks.OP. Rows marked UPSERT are written; TOMBSTONE and
    RETRACTION rows are deleted by key if this pipeline owns them (merge only; otherwise they are ignored, tombstones
    counting as unchanged). Within one part a merge key occurs once. The same part may come twice after a crash where
    the store is not transactional; that must leave the same state.
    Emits events `load.before_commit` and `load.after_commit` with destination, target and part around each commit.
    """

    resumes: ClassVar[bool] = True
    """What a killed load wrote stands; False: a load is seen as a whole and begins again at its first part."""
    progress: Progress
    rejections: list[Rejection]

    def anticipate(self, part: pa.Table) -> None:  # noqa: B027  # most stores have nothing to do beforehand
        """Do beforehand what `write` will need for the part that comes next; another thread may be in `write` now."""

    @abstractmethod
    def write(self, part: pa.Table, index: int) -> WriteCounts:
        """Write one part and commit it. The counts' `out`, `retracted` and the five are filled.

        A retraction that finds nothing of ours is counted nowhere; `retracted` are those that deleted a row. The same
        counts are added to `progress`.
        """

    @abstractmethod
    def finish(self) -> WriteCounts:
        """Make the load visible (replace), delete what a replace leaves behind; counts of the whole load."""

    def close(self) -> None:  # noqa: B027  # not every store has something to give back
        """Roll back what is not committed and give resources back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Destination(ABC):
    """Writes one store."""

    capabilities: ClassVar[DestinationCapabilities]

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.settings = settings

    @abstractmethod
    def check(self) -> Health:
        """Ask the store whether it answers; never raises for a store that is away."""

    @abstractmethod
    def plan(self, target: Target, schema: pa.Schema) -> list[Change]:
        """What `open` would change in the store's structure; changes nothing."""

    @abstractmethod
    def open(self, target: Target, schema: pa.Schema, context: LoadContext) -> Writer:
        """Create or evolve what the target needs, find the progress of this run, and begin.

        `schema` has the input's columns without marks. Only tables the workbench created are altered.
        """

    def close(self) -> None:  # noqa: B027  # not every store has something to give back
        """Give connections back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
