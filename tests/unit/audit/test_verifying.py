"""Whatever is done to a trail is found at the entry it was done to, and nothing is found where nothing was done."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from tests.unit.audit import trails

from data_workbench.audit import Head, Keys, open_keys, verify
from data_workbench.audit.heads import HEAD_FORM, SEAL_FORM
from data_workbench.audit.verifying import MOST_PROBLEMS, SEALED
from data_workbench.metastore.audit import Act, Entry, chained
from data_workbench.records.values import dumps
from data_workbench.settings import Settings

LENGTH = 60


@cache
def whole() -> tuple[Entry, ...]:
    return tuple(trails.trail(LENGTH))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = open_keys(Settings(home=tmp_path_factory.mktemp("home")), makes=True)
    assert made is not None
    return made


def head_of(keys: Keys, entry: Entry) -> Head:
    return keys.sign(entry.sequence, entry.hash)


@pytest.mark.parametrize("number", range(104))
def test_a_tampering_is_found_at_its_entry(number: int) -> None:
    tamper = trails.TAMPERINGS[number % len(trails.TAMPERINGS)]
    chosen = random.Random(number)
    entries, at = list(whole()), chosen.randrange(0, LENGTH - 2)
    tamper(entries, at, chosen)
    report = verify(entries)
    assert not report.clean
    assert report.problems[0].sequence == at + 1, (tamper.__name__, report.problems)


@pytest.mark.parametrize("seed", range(100))
def test_a_whole_trail_raises_no_alarm(seed: int, keys: Keys) -> None:
    chosen = random.Random(seed)
    entries = trails.trail(chosen.randrange(1, 80), seed=seed)
    heads = [head_of(keys, entry) for entry in chosen.sample(entries, min(3, len(entries)))]
    report = verify(entries, heads=heads, keys=keys)
    assert report.problems == []
    assert (report.entries, report.first, report.last) == (len(entries), 1, len(entries))
    assert report.hash == entries[-1].hash


@pytest.mark.parametrize("gone", [1, 5, LENGTH])
def test_the_newest_that_are_gone_are_missed_by_a_signed_head(gone: int, keys: Keys) -> None:
    left = whole()[: LENGTH - gone]
    found = verify(left, heads=[head_of(keys, whole()[-1])], keys=keys).problems
    assert [(problem.sequence, problem.kind) for problem in found] == [(LENGTH - gone + 1, "cut")]


def test_a_trail_made_anew_is_found_between_two_heads(keys: Keys) -> None:
    heads = [head_of(keys, whole()[number - 1]) for number in (10, 20, 30)]
    entries = list(whole())
    entries[14] = replace(entries[14], actor="nobody")
    for index in range(14, LENGTH):
        entries[index] = trails.hashed(replace(entries[index], previous=entries[index - 1].hash))
    assert verify(entries).clean, "without a head nobody can tell"
    found = verify(entries, heads=heads, keys=keys).problems
    assert [(problem.sequence, problem.kind) for problem in found] == [(20, "rewritten"), (30, "rewritten")]
    assert "after entry 10" in found[0].message


def test_an_edit_of_the_newest_entry_is_found_by_its_head(keys: Keys) -> None:
    entries = list(whole())
    trails.edit_and_hash(entries, LENGTH - 1, random.Random(1))
    found = verify(entries, heads=[head_of(keys, whole()[-1])], keys=keys).problems
    assert [(problem.sequence, problem.kind) for problem in found] == [(LENGTH, "rewritten")]


def test_a_head_that_others_signed_or_changed_is_none(keys: Keys, tmp_path: Path) -> None:
    others = open_keys(Settings(home=tmp_path), makes=True)
    assert others is not None
    signed = head_of(keys, whole()[8])
    for head in (head_of(others, whole()[8]), replace(signed, at="2027-01-01T00:00:00.000000Z")):
        found = verify(whole(), heads=[head], keys=keys).problems
        assert [(problem.sequence, problem.kind) for problem in found] == [(9, "unsigned")]


def sealed_trail(keys: Keys, *, through: int = 20, vouched: int | None = None, form: str = SEAL_FORM) -> list[Entry]:
    """A trail whose first entries were sealed."""
    entries = list(whole())
    seen = entries[(vouched or through) - 1]
    details = {"through": through, "hash": seen.hash, "head": keys.sign(seen.sequence, seen.hash, form=form).as_dict()}
    act = Act(SEALED, f"entries 1 to {through}", details)
    entries.append(
        chained(entries[-1].at, trails.AUTHORS[0], act, sequence=LENGTH + 1, previous=entries[-1].hash),
    )
    return entries[through:]


def test_a_sealed_trail_is_whole_and_older_heads_agree(keys: Keys) -> None:
    heads = [head_of(keys, whole()[number - 1]) for number in (5, 20, 40)]
    report = verify(sealed_trail(keys), heads=heads, keys=keys)
    assert report.problems == []
    assert (report.first, report.sealed_through, report.entries) == (21, 20, LENGTH - 20 + 1)


def test_a_beginning_that_no_seal_tells_of_is_missed(keys: Keys) -> None:
    assert [(one.sequence, one.kind) for one in verify(whole()[20:], keys=keys).problems] == [(1, "missing")]
    more = sealed_trail(keys)[3:]
    assert [(one.sequence, one.kind) for one in verify(more, keys=keys).problems] == [(21, "missing")]


def test_a_seal_that_another_key_signed_vouches_for_nothing(keys: Keys, tmp_path: Path) -> None:
    others = open_keys(Settings(home=tmp_path), makes=True)
    assert others is not None
    found = verify(sealed_trail(others), keys=keys).problems
    assert [(problem.sequence, problem.kind) for problem in found] == [(20, "unsigned")]


def test_a_head_that_was_handed_out_cannot_pass_for_a_seal(keys: Keys) -> None:
    found = verify(sealed_trail(keys, form=HEAD_FORM), keys=keys).problems
    assert [(problem.sequence, problem.kind) for problem in found] == [(1, "missing")]


def test_a_seal_of_another_entry_does_not_fit(keys: Keys) -> None:
    found = verify(sealed_trail(keys, vouched=19), keys=keys).problems
    assert [(problem.sequence, problem.kind) for problem in found] == [(20, "unsigned"), (21, "replaced")]


@pytest.mark.parametrize("details", ["no json", "[]", '{"through": "x"}', '{"through": 20, "hash": "0", "head": 7}'])
def test_a_seal_that_cannot_be_read_vouches_for_nothing(details: str, keys: Keys) -> None:
    entries = sealed_trail(keys)
    entries[-1] = trails.hashed(replace(entries[-1], details=details))
    assert [(one.sequence, one.kind) for one in verify(entries, keys=keys).problems] == [(1, "missing")]


def test_no_entry_at_all_is_not_a_whole_trail() -> None:
    assert [(one.sequence, one.kind) for one in verify([]).problems] == [(1, "missing")]


def test_what_is_told_is_bounded_and_the_rest_is_counted() -> None:
    entries = [replace(entry, actor="x") for entry in whole()]
    report = verify(entries)
    assert len(report.problems) == MOST_PROBLEMS
    assert report.problems_left_out == LENGTH - MOST_PROBLEMS
    assert dumps(report.as_dict())


@pytest.mark.slow
def test_ten_thousand_entries_are_verified_in_little_memory() -> None:
    def endless() -> Iterator[Entry]:
        last: Entry | None = None
        for number in range(1, 10_001):
            act = Act("run.begun", "p", {"number": number, "padding": "x" * 500})
            previous = last.hash if last else "0" * 64
            last = chained(trails.BEGUN, trails.AUTHORS[0], act, sequence=number, previous=previous)
            yield last

    tracemalloc.start()
    try:
        report = verify(endless())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.clean
    assert report.entries == 10_000
    assert peak < 2_000_000, "10,000 entries of 700 bytes would take 7 MB"
