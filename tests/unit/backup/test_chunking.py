"""Where a stream is cut."""

from __future__ import annotations

import random

import pytest

from data_workbench.backup.chunking import LARGEST, SMALLEST, chunks

_CONTENT = random.Random(7).randbytes(12_000_000)


def test_chunks_make_the_stream_again_within_their_bounds() -> None:
    found = list(chunks([_CONTENT]))
    assert b"".join(found) == _CONTENT
    assert all(SMALLEST <= len(one) <= LARGEST for one in found[:-1])
    assert len(found) > 4


def test_how_a_stream_arrives_changes_nothing() -> None:
    whole = list(chunks([_CONTENT]))
    assert list(chunks(_CONTENT[i : i + 77_777] for i in range(0, len(_CONTENT), 77_777))) == whole


def test_an_insertion_moves_few_cuts() -> None:
    before = set(chunks([_CONTENT]))
    after = list(chunks([_CONTENT[:5_000_000], b"inserted", _CONTENT[5_000_000:]]))
    assert sum(one not in before for one in after) <= 2


@pytest.mark.parametrize("size", [0, 1, SMALLEST - 1, SMALLEST, SMALLEST + 1])
def test_small_streams_are_one_chunk(size: int) -> None:
    content = _CONTENT[:size]
    assert list(chunks([content])) == ([content] if content else [])


def test_a_stream_without_variety_is_cut_at_the_largest() -> None:
    assert [len(one) for one in chunks([bytes(2 * LARGEST + 5)])] == [LARGEST, LARGEST, 5]


def test_the_cuts_are_those_of_every_version() -> None:
    # Other cuts would find nothing of what is stored already.
    assert [len(one) for one in chunks([_CONTENT])][:3] == EXPECTED


EXPECTED = [2_124_512, 1_393_826, 657_703]
