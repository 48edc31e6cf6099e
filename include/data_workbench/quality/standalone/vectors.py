"""Checks of vectors that no query over rows answers: what an index finds, how two versions differ, known searches.

The index is asked twice, as a user asks it and exactly. Two versions are compared by the energy distance of Székely and
Rizzo (2013), as a share of its greatest value: 0 only for equal distributions, whatever their form, 1 for two points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from data_workbench.connectors.powers import CanSearch
from data_workbench.errors import Unsupported
from data_workbench.quality.standalone.finders import GIVEN
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_workbench.connectors.powers import Neighbour
    from data_workbench.embedding import Embedder
    from data_workbench.quality.standalone.kinds import CanaryCheck, RecallCheck

Array = np.ndarray[Any, Any]
COMPARED: Final = 2_000
"""Vectors of each version that are compared: the distance is then off by a few thousandths."""
_EQUAL: Final = 1e-5
"""Scores that differ by less are equal: exact and approximate search do not add up in the same order."""


@dataclass(frozen=True)
class Measure:
    """What a check of vectors found.

    Args:
        looked_at: searches that were made; None where it is one number of all.
        sample: what breaks it, the worst first.
        told: the number itself, in words.
    """

    failing: int
    looked_at: int | None
    sample: list[dict[str, Any]]
    told: str


def recall(connection: DuckDBPyConnection, source: object, stream: str, key: str, wanted: RecallCheck) -> Measure:
    """Search for points of the collection, once as always and once exactly."""
    ids, vectors = sampled(connection, GIVEN, key, wanted.column, wanted.queries)
    index = _searched(source)
    if not len(ids):
        return Measure(0, 0, [], "no vectors")
    searches = vectors.tolist()
    found = index.nearest(stream, wanted.column, searches, limit=wanted.at)
    exact = index.nearest(stream, wanted.column, searches, limit=wanted.at, exact=True)
    shares = [_recalled(*pair) for pair in zip(found, exact, strict=True)]
    mean = float(np.mean(shares))
    told = f"{mean:.1%} of the {wanted.at} nearest are found, {wanted.least:.1%} wanted"
    if mean >= wanted.least:
        return Measure(0, len(ids), [], told)
    worst = sorted(zip(shares, ids, strict=True), key=lambda one: (one[0], str(one[1])))
    missed = [(share, name) for share, name in worst if share < 1.0]
    return Measure(len(missed), len(ids), [{key: name, "found": f"{share:.0%}"} for share, name in missed], told)


def canaries(
    connection: DuckDBPyConnection, source: object, stream: str, key: str, wanted: CanaryCheck, model: Embedder
) -> Measure:
    """Search for texts; the point that each must find is looked up among the rows."""
    index = _searched(source)
    searches = model.embed([one.text for one in wanted.queries]).tolist()
    found = index.nearest(stream, wanted.column, searches, limit=wanted.within)
    missed = []
    for query, hits in zip(wanted.queries, found, strict=True):
        match = " AND ".join(f"CAST({quoted(name)} AS VARCHAR) = ?" for name in query.finds)
        named = connection.execute(
            f"SELECT CAST({quoted(key)} AS VARCHAR) FROM {GIVEN} WHERE {match}",
            [str(value) for value in query.finds.values()],
        ).fetchall()
        if not {name for (name,) in named} & {str(hit.id) for hit in hits}:
            reason = f"not among the first {wanted.within}" if named else "there is no such point"
            missed.append({"text": query.text, **query.finds, "found": reason})
    told = f"{len(missed)} of {len(wanted.queries)} searches do not find their point"
    return Measure(len(missed), len(wanted.queries), missed, told)


def drift(here: tuple[Sequence[Any], Array], there: tuple[Sequence[Any], Array], key: str, within: float) -> Measure:
    """How far two samples are apart, and the points here that make it so."""
    (ids, one), (_, other) = here, there
    if len(one) < 2 or len(other) < 2:
        raise Unsupported(
            f"two versions of {len(one)} and {len(other)} vectors cannot be compared", hint="two at least"
        )
    if one.shape[1] != other.shape[1]:
        told = f"{one.shape[1]} numbers here, {other.shape[1]} there"
        return Measure(1, None, [{"dimension": told}], told)
    across, inside, beside = distances(one, other), distances(one, one), distances(other, other)
    between = float(across.mean())
    # Without the diagonals: otherwise small samples of one distribution seem to differ.
    own = float(inside.sum() / (len(one) * (len(one) - 1)))
    theirs = float(beside.sum() / (len(other) * (len(other) - 1)))
    distance = max(0.0, (2 * between - own - theirs) / (2 * between)) if between > 0 else 0.0
    told = f"energy distance {distance:.4f}, {within:g} allowed"
    if distance <= within:
        return Measure(0, None, [], told)
    far = across.mean(axis=1) - inside.sum(axis=1) / (len(one) - 1)
    worst = np.argsort(-far, kind="stable")[:100]
    sample = [{key: ids[place], "further from the other version by": round(float(far[place]), 4)} for place in worst]
    return Measure(1, None, sample, told)


def sampled(
    connection: DuckDBPyConnection, table: str, key: str | None, column: str, count: int
) -> tuple[list[Any], Array]:
    """Keys and vectors of some rows, the same each time; those that have another dimension than most are left out."""
    vector = quoted(column)
    order = f"hash({quoted(key)})" if key else f"hash({vector})"
    named = quoted(key) if key else "NULL"
    dimension = f"(SELECT mode(len({vector})) FROM {table})"
    found = connection.sql(
        f"SELECT {named} AS key, {vector} AS vector FROM {table} WHERE len({vector}) = {dimension} "
        f"ORDER BY {order} LIMIT {count:d}"
    ).to_arrow_table()
    vectors = found.column("vector").combine_chunks()
    flat = np.asarray(vectors.flatten().to_numpy(zero_copy_only=False), dtype=np.float32)
    fine = flat.reshape(len(found), -1) if len(found) else np.zeros((0, 0), np.float32)
    usable: Array = np.asarray(np.isfinite(fine).all(axis=1))
    keys = found.column("key").to_pylist()
    return [name for name, is_fine in zip(keys, usable.tolist(), strict=True) if is_fine], fine[usable]


def distances(one: Array, other: Array) -> Array:
    """Euclidean, of each to each."""
    squares = (one.astype(np.float64) ** 2).sum(axis=1)[:, None] + (other.astype(np.float64) ** 2).sum(axis=1)
    found: Array = np.sqrt(np.maximum(squares - 2 * one.astype(np.float64) @ other.astype(np.float64).T, 0))
    if one is other:
        np.fill_diagonal(found, 0.0)
    return found


def _recalled(found: Sequence[Neighbour], exact: Sequence[Neighbour]) -> float:
    """Share of the true neighbours; one that is as near as the last of them is as good."""
    if not exact:
        return 1.0
    names, last = {one.id for one in exact}, exact[-1].score
    good = sum(one.id in names or abs(one.score - last) <= _EQUAL * max(1.0, abs(last)) for one in found)
    return min(1.0, good / len(exact))


def _searched(source: object) -> CanSearch:
    if not isinstance(source, CanSearch):
        raise Unsupported("this store has no index of vectors", hint="promise it of a collection")
    return source
