"""Asking a collection for the points nearest to rows, by their vectors or by texts that a model makes vectors of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.http.bindings import bound
from data_workbench.connectors.qdrant.client import Qdrant
from data_workbench.enrichment.answers import Found
from data_workbench.errors import FatalError
from data_workbench.mapping.point_ids import point_ids

if TYPE_CHECKING:
    import numpy
    import pyarrow as pa

    from data_workbench.connectors.connections import Connection
    from data_workbench.enrichment.patience import Patience
    from data_workbench.enrichment.spec import Nearest

_SHOWN = 200


class NearestAsker:
    """Asks one collection for one step.

    Args:
        embed: makes vectors of texts.
    """

    def __init__(
        self,
        connection: Connection,
        nearest: Nearest,
        params: Mapping[str, Any],
        patience: Patience,
        embed: Callable[[str, Sequence[str]], numpy.ndarray],
    ) -> None:
        self._qdrant = Qdrant(connection)
        self._nearest, self._patience, self._embed = nearest, patience, embed
        self._must = [{"key": key, "match": {"value": value}} for key, value in bound(nearest.where, params).items()]

    def ask(self, questions: pa.RecordBatch) -> list[Found]:
        """The answer to each question, in their order."""
        found: list[Found] = []
        for start in range(0, questions.num_rows, self._nearest.size):
            part = questions.slice(start, self._nearest.size)
            searches = self._searches(part)
            found += self._patience.asked(lambda one=searches: self._search(one), len(searches))  # type: ignore[misc]
        return found

    def close(self) -> None:
        """Give connections back."""
        self._qdrant.close()

    def _searches(self, part: pa.RecordBatch) -> list[dict[str, Any]]:
        asked = self._nearest
        if asked.text is not None:
            assert asked.model is not None
            vectors = self._embed(asked.model, part.column(asked.text).to_pylist()).tolist()
        else:
            assert asked.vector is not None
            vectors = part.column(asked.vector).to_pylist()
        own = point_ids(part, [asked.without]) if asked.without else [None] * part.num_rows
        return [self._search_of(vector, point) for vector, point in zip(vectors, own, strict=True)]

    def _search_of(self, vector: list[float], own: int | str | None) -> dict[str, Any]:
        asked = self._nearest
        search: dict[str, Any] = {
            "query": vector,
            "limit": asked.limit,
            "params": {"exact": asked.exact},
            "with_payload": True,
        }
        only: dict[str, Any] = {"must": self._must} if self._must else {}
        if own is not None:
            only["must_not"] = [{"has_id": [own]}]
        return search | {
            **({"filter": only} if only else {}),
            **({"using": asked.using} if asked.using else {}),
            **({"score_threshold": asked.min_score} if asked.min_score is not None else {}),
        }

    def _search(self, searches: list[dict[str, Any]]) -> list[Found]:
        """A vector that the collection does not take makes the server refuse them all: then each is asked alone."""
        try:
            return [Found.of([_record(one) for one in points]) for points in self._points(searches)]
        except FatalError as error:
            if type(error) is not FatalError:
                raise
            if len(searches) == 1:
                return [Found("wrong", reason=error.message[:_SHOWN])]
        return [found for one in searches for found in self._search([one])]

    def _points(self, searches: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        return self._qdrant.search_each(self._nearest.collection, searches)


def _record(point: Mapping[str, Any]) -> dict[str, Any]:
    payload = point.get("payload") or {}
    return {**payload, "payload": payload, "id": point["id"], "score": point["score"]}
