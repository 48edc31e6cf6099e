"""Given answers in the place of the outside, for the steps of a pipeline under test.

A row of `enrich:STEP` has the values that are asked with, by their names in `given`, and the values that come back, by
the names of the new columns; `confidence` if the answer says how sure it is. Rows that are asked with the same values
are records of one answer. `_answer: unavailable` or `_answer: wrong` stand for no answer, and for one that cannot be
used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.http.bindings import as_json, as_text
from data_workbench.embedding import open_embedder
from data_workbench.enrichment.answers import Found, columns_of
from data_workbench.enrichment.spec import Enrich, Taken
from data_workbench.records.values import rows_of

if TYPE_CHECKING:
    import numpy
    import pyarrow as pa

    from data_workbench.settings import Settings

ANSWER = "_answer"
_SURE = "confidence"


class GivenAnswers:
    """Answers out of tables, by `enrich:STEP`; models embed as they do."""

    def __init__(self, tables: Mapping[str, pa.Table], settings: Settings) -> None:
        self._tables = tables
        self._settings = settings

    def ask(self, step: str, wanted: Mapping[str, Any], questions: pa.RecordBatch, fields: pa.Schema) -> pa.RecordBatch:
        """The rows given for each question; none is nothing."""
        enrich = Enrich.model_validate(wanted, strict=False)
        names = list(enrich.given)
        given: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        table = self._tables.get(f"enrich:{step}")
        for row in rows_of(table) if table is not None else ():
            given.setdefault(_key(row, names), []).append(as_json(row))
        found = [_found(given.get(_key(row, names), [])) for row in questions.to_pylist()]
        return columns_of(found, _by_name(enrich), fields)

    def embed(self, model: str, texts: Sequence[str]) -> numpy.ndarray:
        """The vectors of texts."""
        return open_embedder(model, self._settings).embed(texts)

    def close(self) -> None:
        """Nothing is open."""


def _key(row: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(as_text(row[name]) for name in names)


def _found(rows: list[dict[str, Any]]) -> Found:
    state = rows[0].get(ANSWER) if rows else None
    if state in ("unavailable", "wrong"):
        return Found(state, reason="as given")
    return Found.of(rows)


def _by_name(enrich: Enrich) -> Enrich:
    """The step with its values where given rows have them."""
    taken = {name: one.model_copy(update={"from_": f"['{name}']"}) for name, one in enrich.taken.items()}
    takes: dict[str, str | Taken] = dict(taken)
    sure = _SURE if enrich.confidence is not None or enrich.kind == "nearest" else None
    return enrich.model_copy(update={"take": takes, "confidence": sure})
