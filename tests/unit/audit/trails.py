"""Trails for tests: made in memory as the metastore makes them, and ways to tamper with one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from data_workbench.metastore.audit import BEGINNING, Act, Author, Entry, chained

BEGUN = datetime(2026, 11, 23, 8, tzinfo=UTC)
AUTHORS = [Author("ada", "cli", "ticket 17"), Author("airflow", "airflow"), Author("Žofie", "rest")]
ACTIONS = ["run.begun", "run.ended", "definition.changed", "quarantine.discarded", "backup.create.begun"]


def trail(length: int, *, seed: int = 7) -> list[Entry]:
    """A chain of so many entries."""
    chosen = random.Random(seed)
    entries: list[Entry] = []
    for number in range(1, length + 1):
        act = Act(
            chosen.choice(ACTIONS),
            f"pipeline_{chosen.randrange(9)}",
            {"rows": chosen.randrange(10**6), "text": chosen.choice(["naïve", "a\u2028b", '"quoted"\n', "\U0001f600"])},
            run_id=chosen.choice([None, f"run-{number // 2}"]),
        )
        previous = entries[-1].hash if entries else BEGINNING
        at = BEGUN + timedelta(microseconds=number * 1_234_567)
        entries.append(chained(at, chosen.choice(AUTHORS), act, sequence=number, previous=previous))
    return entries


Tamper = Callable[[list[Entry], int, random.Random], None]


def hashed(entry: Entry) -> Entry:
    """The entry with the hash its content has: what a tamperer who knows the form would do."""
    return replace(entry, hash=entry.computed_hash())


def edit(entries: list[Entry], at: int, chosen: random.Random) -> None:
    """Another value in one member."""
    entry = entries[at]
    entries[at] = chosen.choice(
        [
            replace(entry, actor=entry.actor + "x"),
            replace(entry, at=entry.at + timedelta(microseconds=1)),
            replace(entry, action="run.begun" if entry.action != "run.begun" else "run.ended"),
            replace(entry, object=entry.object + " "),
            replace(entry, reason="because" if entry.reason is None else None),
            replace(entry, run_id="other"),
            replace(entry, correlation_id=""),
            replace(entry, details=entry.details.replace("rows", "Rows")),
            replace(entry, origin="rest" if entry.origin != "rest" else "cli"),
            replace(entry, previous="f" * 64),
            replace(entry, hash="0" * 64),
        ]
    )


def edit_and_hash(entries: list[Entry], at: int, chosen: random.Random) -> None:
    """Another value, and the hash that fits it."""
    entries[at] = hashed(replace(entries[at], details='{"rows": 0}', actor="nobody"))


def remove(entries: list[Entry], at: int, chosen: random.Random) -> None:
    """One entry less."""
    del entries[at]


def remove_and_renumber(entries: list[Entry], at: int, chosen: random.Random) -> None:
    """One entry less, and no gap in the numbers."""
    del entries[at]
    entries[at:] = [replace(entry, sequence=entry.sequence - 1) for entry in entries[at:]]


def insert_and_renumber(entries: list[Entry], at: int, chosen: random.Random) -> None:
    """One entry more, whole in itself and chained to the one before it."""
    previous = entries[at - 1].hash if at else BEGINNING
    act = Act("run.begun", "invented", {})
    made = chained(entries[at].at, AUTHORS[0], act, sequence=entries[at].sequence, previous=previous)
    entries[at:] = [made, *(replace(entry, sequence=entry.sequence + 1) for entry in entries[at:])]


def swap_with_next(entries: list[Entry], at: int, chosen: random.Random) -> None:
    """Two neighbours in the other order, each with the other's number."""
    first, second = entries[at], entries[at + 1]
    entries[at : at + 2] = [replace(second, sequence=first.sequence), replace(first, sequence=second.sequence)]


def swap_with_later(entries: list[Entry], at: int, chosen: random.Random) -> None:
    """Two entries in each other's place."""
    later = chosen.randrange(at + 1, len(entries))
    first, second = entries[at], entries[later]
    entries[at] = replace(second, sequence=first.sequence)
    entries[later] = replace(first, sequence=second.sequence)


def shuffle_lines(entries: list[Entry], at: int, chosen: random.Random) -> None:
    """Two neighbours in the other order, with their own numbers: what can happen to an exported file."""
    entries[at], entries[at + 1] = entries[at + 1], entries[at]


TAMPERINGS: list[Tamper] = [
    edit,
    edit_and_hash,
    remove,
    remove_and_renumber,
    insert_and_renumber,
    swap_with_next,
    swap_with_later,
    shuffle_lines,
]
