"""What a store can do beyond reading and writing, each a small base of its own; callers ask for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from data_workbench.connectors.base import Destination, Partition, ReadRequest, Settled, Source, Split, Vital
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from data_workbench.connectors.postgres.capture import Capture
    from data_workbench.mapping.hooks import BoundHook
    from data_workbench.mapping.targets import LoadContext, Target
    from data_workbench.records.pushed import PushedStatement, StatusCounts


class CanPartition(ABC):
    """Splits a read into shares that can be read side by side, each by `read` with `partition`."""

    @abstractmethod
    def partitions(self, request: ReadRequest, count: int) -> list[Partition]:
        """At most `count` shares of about equal size; one where the stream cannot be split or is small.

        Where the source declares `snapshot`, all shares see one moment of the store; it is held until it is released or
        the source is closed. A request with a cursor is split where nothing was read before; each share then has the
        position of the whole.
        """

    @abstractmethod
    def release_partitions(self) -> None:
        """Let go of what shares, and what `CanSplit.settle` tells of, need to be read; safe to call twice."""


class CanSplit(CanPartition):
    """Splits a read into key ranges that other processes read, at other times, and tells what was written meanwhile."""

    @abstractmethod
    def split(self, request: ReadRequest, key: Sequence[str], count: int) -> Split | None:
        """At most `count` ranges of about equal numbers of rows; None where the read is not worth it, or goes on from
        a position.

        Args:
            key: columns that the store itself keeps unique and not null.

        Raises:
            Unsupported: the stream cannot be split.
        """

    @abstractmethod
    def settle(self, request: ReadRequest, key: Sequence[str], split: Split) -> Settled:
        """What the stream holds now, once all ranges have been read; its requests can be read until
        `release_partitions`.

        Raises:
            StateError: the split is too old to tell what was written since.
        """


class WholeFile(Protocol):
    """A Parquet file of a source."""

    def opened(self) -> AbstractContextManager[IO[bytes]]:
        """Its bytes. What Arrow raises within, who reads them there, is raised as a damaged file's SchemaConflict; one
        that has changed by the end raises StoreBusy."""


class CanGiveFiles(ABC):
    """Keeps streams as Parquet files, which can be staged as they are instead of encoding their rows again."""

    @abstractmethod
    def whole_files(self, request: ReadRequest, schema: pa.Schema) -> Sequence[WholeFile] | None:
        """The files whose rows, in this order, are what `read` gives; None where anything would be done to them.

        Files of one folder that are of different shape, or were written by another library than Arrow's own (whose
        types and statistics might be read differently by the engine), are read.

        Args:
            schema: of what is to land, the columns in their order.
        """


class CanReadBack(ABC):
    """Gives back what it wrote, in the form it was asked to write, for reconciliation."""

    @abstractmethod
    def read_back(
        self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table | None
    ) -> Iterator[pa.RecordBatch]:
        """Rows of the target as they stand now.

        Yields batches with `schema`'s columns as far as the target writes them (nodes and points: key and properties;
        relationships: `key` where known, endpoint columns, properties), each value mapped back to its logical type,
        plus `records.marks.OWNED` (bool: this pipeline wrote it). For an `embed` or `vector` target also
        `_wb_vector` (list<float32>), `_wb_model` and `_wb_text_hash` (string, null if not there).

        Args:
            keys: only rows with these keys; None for all, foreign ones included.
        """


class CanTellVitals(ABC):
    """Tells more of a store's health than that it answers; asked only of one that does."""

    @abstractmethod
    def vitals(self) -> list[Vital]:
        """What matters here and now: can it be written, lag, indexes, room left. Takes a second at most."""


class CanTellShape(ABC):
    """Tells of a stream what its rows alone do not: how they hang together."""

    @abstractmethod
    def degrees(self, stream: str) -> list[Degree]:
        """How many relationships of each type and direction the rows have; none for a stream of relationships."""

    @abstractmethod
    def inner_edges(self, stream: str, types: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """The relationships between rows of the stream, of these types or all, as numbers `start` and `end`."""


class Degree(NamedTuple):
    """So many nodes have so many relationships of a type in a direction (`out`, `in`)."""

    type: str
    direction: str
    degree: int
    nodes: int


class CanQuery(ABC):
    """Answers a statement in the store's own language, within a transaction that cannot write."""

    @abstractmethod
    def query(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The records it gives."""


class CanCapture(ABC):
    """Tells every change of its tables out of its log, whoever made it, in the order of commits."""

    @abstractmethod
    def capture(self, slot: str) -> Capture:
        """The log, by the name of a slot that keeps its place."""


class CanCount(ABC):
    """Counts rows of a table by conditions in its own SQL, all in one pass and one moment."""

    TABLE: ClassVar[str] = "the_table_itself"
    """Stands in conditions for the table."""

    @abstractmethod
    def count(self, stream: str, conditions: Sequence[str]) -> tuple[int, list[int]]:
        """How many rows there are, and for how many each condition is true."""

    @abstractmethod
    def failing(self, stream: str, condition: str, columns: Sequence[str], limit: int) -> list[dict[str, Any]]:
        """These columns of the first rows for which a condition is true, as JSON values."""


class Neighbour(NamedTuple):
    """A point that a search found; whether a greater score is nearer depends on the collection's distance."""

    id: int | str
    score: float


class CanSearch(ABC):
    """Finds the points nearest to vectors."""

    @abstractmethod
    def nearest(
        self, stream: str, column: str, vectors: Sequence[Sequence[float]], *, limit: int, exact: bool = False
    ) -> list[list[Neighbour]]:
        """The nearest to each vector, the nearest first.

        Args:
            column: the column of the vectors, as `describe` calls it.
            exact: compare with every point instead of asking the index.

        Raises:
            StreamUnknown: no such collection or column.
        """


class CanDelete(ABC):
    """Deletes by key, for repair."""

    @abstractmethod
    def delete(self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table) -> int:
        """Delete the owned rows with these keys; the number deleted."""


class CanRunHooks(ABC):
    """Runs a statement before or after a load, each in a transaction of its own."""

    @abstractmethod
    def run_hook(self, hook: BoundHook) -> None:
        """Run it with its values bound."""


class CanFindUnique(ABC):
    """Finds rows of other keys that already hold a unique value (a contract's `unique`, against the destination)."""

    @abstractmethod
    def find_unique(self, target: Target, columns: tuple[str, ...], values: pa.Table) -> pa.Table:
        """Rows (target key columns and `columns`) now in the store whose `columns` equal a row of `values`."""


class CanStreamCopy(ABC):
    """Moves a whole stream into a table of the same kind of store without looking inside (the fused path)."""

    @abstractmethod
    def takes_stream(self, target: Target) -> bool:
        """Whether nothing stands in the target that a load must be held against, as far as can be seen now."""

    @abstractmethod
    def copy_from(
        self, source: Source, request: ReadRequest, target: Target, context: LoadContext, *, compares: bool = False
    ) -> tuple[WriteCounts, dict[str, Any] | None]:
        """Stream source rows straight into the target with the same counts, checkpoint and result as the staged path.

        Emits `load.reading` before the first row and, if the copy is compared, `load.compared` with its `seconds`.

        Args:
            compares: hold what was read, as of the reading's moment, against what stands in the target before the
                commit.

        Returns:
            The counts and the source's position.

        Raises:
            Unsupported: this pair or target cannot, or the comparison found a difference; nothing is written.
        """


class CanRunSteps(ABC):
    """Computes a pipeline's steps itself, from its own tables into one of them."""

    @abstractmethod
    def reads_where_it_writes(self, source: Source) -> bool:
        """Whether the source's tables are this database's, seen by the same role."""

    @abstractmethod
    def run_steps(
        self,
        statement: PushedStatement,
        params: Mapping[str, Any],
        target: Target,
        schema: pa.Schema,
        context: LoadContext,
        *,
        compares: bool,
    ) -> tuple[WriteCounts, StatusCounts]:
        """Compute the rows and load them as a staged load would, in one transaction with its checkpoint.

        Args:
            compares: hold what was computed against what stands in the target before the commit.

        Returns:
            The counts, and the rows of each end of the statement by status. A finished load of this run is told again.

        Raises:
            Unsupported: rows came up that only a staged run can deal with; nothing is written.
            BalanceError: the rows do not add up; nothing is written.
        """


class CanAdoptParts(ABC):
    """Takes staged Parquet files as they are, by link, instead of encoding their rows again."""

    @abstractmethod
    def adopt(
        self, target: Target, schema: pa.Schema, context: LoadContext, parts: Sequence[Path]
    ) -> WriteCounts | None:
        """The whole load of one target: staged parts become its files, seen at once, safe to repeat.

        Args:
            parts: staged Parquet files without marks, whose columns are exactly the target's, upserts only.

        Returns:
            The counts, or None if this target must be written row by row (nothing has happened then).
        """


def powers_of(side: type[Source] | type[Destination]) -> list[str]:
    """Names of the optional powers a side declares: `read_back`, `delete`, …"""
    return [name for name, base in _POWERS.items() if issubclass(side, base)]


_POWERS: dict[str, type[ABC]] = {
    "partition": CanPartition,
    "split": CanSplit,
    "give_files": CanGiveFiles,
    "read_back": CanReadBack,
    "delete": CanDelete,
    "find_unique": CanFindUnique,
    "run_hooks": CanRunHooks,
    "stream_copy": CanStreamCopy,
    "run_steps": CanRunSteps,
    "adopt_parts": CanAdoptParts,
}
