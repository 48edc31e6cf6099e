"""Answers the questions of a run's steps: whoever is asked is opened once for a step; what is known is not asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from data_workbench.enrichment.answers import Found, columns_of
from data_workbench.enrichment.kinds import require_kind
from data_workbench.enrichment.memory import Memory
from data_workbench.enrichment.patience import Patience
from data_workbench.enrichment.spec import Enrich
from data_workbench.errors import FatalError

if TYPE_CHECKING:
    import numpy
    import pyarrow as pa

    from data_workbench.connectors.connections import Connection
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings


class Asker(Protocol):
    """Asks one outside for one step."""

    def ask(self, questions: pa.RecordBatch) -> list[Found]:
        """The answer to each question, in their order."""

    def close(self) -> None:
        """Give connections back."""


@dataclass
class Outside:
    """Whom the steps of one run ask. Close it at their end.

    Args:
        connection: resolves a connection's id.
        params: of the run.
        now: the run's time, by which answers that are remembered are old.
        metastore: remembers answers for later runs; without it none are.
        strict: no answer ends the run, whatever the step says: where rows are compared, a NULL would be a difference.
    """

    connection: Callable[[str], Connection]
    settings: Settings
    params: Mapping[str, Any]
    now: datetime
    metastore: Metastore | None = None
    strict: bool = False
    _askers: dict[str, tuple[Enrich, Asker]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give all connections back."""
        while self._askers:
            self._askers.popitem()[1][1].close()

    def ask(self, step: str, wanted: Mapping[str, Any], questions: pa.RecordBatch, fields: pa.Schema) -> pa.RecordBatch:
        """The answers to a step's questions, in their order, as columns (`answers.columns_of`).

        Args:
            wanted: what the step says, as `Enrich` is written.
            fields: of the values.

        Raises:
            RetriableError: there is no answer, and the step goes on with none.
            FatalError: whoever is asked refuses.
        """
        try:
            if step not in self._askers:
                enrich = Enrich.model_validate(wanted, strict=False)
                self._askers[step] = enrich, self._open(step, enrich)
            enrich, asker = self._askers[step]
            memory = Memory(self.metastore, enrich, self.params, self.now)
            return columns_of(memory.or_else(questions, asker.ask), enrich, fields)
        except FatalError as error:
            if error.message.startswith(f"step {step!r}"):
                raise
            raise type(error)(f"step {step!r}: {error.message}", hint=error.hint) from error

    def embed(self, model: str, texts: Sequence[str]) -> numpy.ndarray:
        """The vectors of texts. Raises UsageError: no such model."""
        from data_workbench.embedding import open_embedder

        return open_embedder(model, self.settings).embed(texts)

    def _open(self, step: str, enrich: Enrich) -> Asker:
        connection = self.connection(enrich.connection)
        require_kind(step, enrich, connection)
        patience = Patience(step, fails=self.strict or enrich.on_unavailable == "fail")
        if enrich.rest is not None:
            from data_workbench.enrichment.rest import RestAsker

            return RestAsker(connection, enrich.rest, self.params, patience)
        if enrich.graph is not None:
            from data_workbench.enrichment.graph import GraphAsker

            return GraphAsker(connection, enrich.graph, self.params, patience)
        if enrich.records is not None:
            from data_workbench.enrichment.stream import StreamAsker

            taken = tuple(one.from_ for one in enrich.taken.values())
            return StreamAsker(connection, enrich.records, taken, self.params, patience, self.settings)
        from data_workbench.enrichment.nearest import NearestAsker

        assert enrich.nearest is not None
        return NearestAsker(connection, enrich.nearest, self.params, patience, self.embed)
