"""Answers that are remembered between runs, as JSON in the metastore, until they are too old.

An answer is known by a hash of who was asked what: the connection's id, the request with the values of its params, and
the row's values. That there is nothing is remembered, too; that nobody answered, or with rubbish, is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.http.bindings import as_json, bound
from data_workbench.connectors.http.columns import document
from data_workbench.enrichment.answers import Found
from data_workbench.metastore import answers

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.enrichment.spec import Enrich
    from data_workbench.metastore import Metastore

_LARGEST = 262_144
"""Characters of one answer that is worth remembering."""
_OF_HOW = frozenset({"parallel", "requests_per_second", "timeout", "tries", "size"})


class Memory:
    """What one step's questions were answered before.

    Args:
        metastore: None remembers nothing.
        now: answers of before `now - cache` are too old.
    """

    def __init__(self, metastore: Metastore | None, enrich: Enrich, params: Mapping[str, Any], now: datetime) -> None:
        self._metastore = metastore if enrich.cache is not None else None
        self._enrich, self._params, self._now = enrich, params, now

    def or_else(self, questions: pa.RecordBatch, ask: Callable[[pa.RecordBatch], list[Found]]) -> list[Found]:
        """The answers that are known, and for the other questions those that `ask` gives."""
        if self._metastore is None:
            return ask(questions)
        keys = self._keys(questions)
        known = self._recalled(keys)
        places = [place for place, key in enumerate(keys) if key not in known]
        asked = ask(questions.take(_indices(places))) if places else []
        self._remember([keys[place] for place in places], asked)
        new = dict(zip(places, asked, strict=True))
        return [new[place] if place in new else known[key] for place, key in enumerate(keys)]

    def _keys(self, questions: pa.RecordBatch) -> list[str]:
        asks = self._enrich.asks.model_dump(mode="json", exclude=set(_OF_HOW), by_alias=True)
        request = [self._enrich.connection, self._enrich.kind, as_json(bound(asks, self._params))]
        if self._enrich.graph is not None:
            request.append(as_json({name: self._params.get(name) for name in self._enrich.graph.params}))
        about = _text(request)
        return [hashlib.sha256(f"{about}\n{_text(as_json(row))}".encode()).hexdigest() for row in questions.to_pylist()]

    def _recalled(self, keys: Sequence[str]) -> dict[str, Found]:
        assert self._metastore is not None
        assert self._enrich.cache is not None
        found = answers.recall(self._metastore, keys, since=self._now - self._enrich.cache)
        return {key: Found.of(json.loads(text, parse_float=Decimal)) for key, text in found.items()}

    def _remember(self, keys: Sequence[str], found: Sequence[Found]) -> None:
        assert self._metastore is not None
        assert self._enrich.cache is not None
        written = {
            key: document(list(one.records)) or "[]"
            for key, one in zip(keys, found, strict=True)
            if one.state in ("found", "nothing")
        }
        small = {key: text for key, text in written.items() if len(text) <= _LARGEST}
        answers.remember(self._metastore, small, now=self._now, until=self._now + self._enrich.cache)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _indices(places: Sequence[int]) -> pa.Array:
    import pyarrow as pa

    return pa.array(places, pa.int64())
