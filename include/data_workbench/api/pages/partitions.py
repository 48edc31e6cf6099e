"""Rows by partition as columns of SVG: what of a time is archived, what of it came back, and where nothing is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_workbench.api.datamodels.archives import PartitionOut

WIDTH, HEIGHT, MARK = 960, 96, 6
"""Of the drawing, in its own units; MARK of it at the top are for the marks of what is held."""
MOST = 120
"""Columns; of more, days become months and months years."""
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_COARSER = {10: 7, 7: 4}
"""How many letters the label of the next coarser partition has."""
_LEAST = 2.0
"""A column is seen, and can be pointed at, however few rows it stands for."""


@dataclass(frozen=True)
class Column:
    """One partition: its place and width, how high all its rows are and those that are only in archives."""

    x: float
    width: float
    all: float
    live: float
    is_held: bool
    title: str


@dataclass(frozen=True)
class Columns:
    """All of a policy, from the oldest partition to the newest, with room where a partition has nothing."""

    columns: list[Column]
    first: str
    last: str
    grain: str
    words: str


def columns(partitions: Sequence[PartitionOut]) -> Columns:
    """The drawing of what a policy has in each partition."""
    found = {one.partition: one for one in partitions}
    if all(_DATE.fullmatch(label) for label in found):
        # A policy may have had another grain once.
        found = _coarser(found, min(map(len, found)))
        labels = _span(found)
        while len(labels) > MOST and (coarser := _COARSER.get(len(labels[0]))):
            found = _coarser(found, coarser)
            labels = _span(found)
        if len(labels) > MOST:  # centuries: only years that have something, and of them the youngest
            labels = sorted(found)[-MOST:]
    else:
        labels = sorted(found)[-MOST:]
    found = {label: found[label] for label in labels if label in found}
    most = max(one.rows for one in found.values()) or 1
    step = min(WIDTH / len(labels), 48)
    drawn = [
        _column(one, round(place * step, 1), round(max(step - 1.5, 1), 1), most)
        for place, label in enumerate(labels)
        if (one := found.get(label)) is not None
    ]
    grain = {4: "year", 7: "month", 10: "day"}.get(len(labels[0]), "partition")
    high = max(found.values(), key=lambda one: one.rows)
    empty = len(labels) - len(found)
    words = f"{len(found)} {grain}s from {labels[0]} to {labels[-1]}, most rows ({high.rows:,}) in {high.partition}"
    if len(found) == 1:
        words = f"one {grain}, {labels[0]}: {high.rows:,} rows"
    words += f"; nothing in {empty} of them" if empty else ""
    return Columns(drawn, labels[0], labels[-1], grain, words)


def _column(one: PartitionOut, x: float, width: float, most: int) -> Column:
    room = HEIGHT - MARK
    high = max(one.rows / most * room, _LEAST)
    live = high * one.live / one.rows if one.rows else 0.0
    title = f"{one.partition}: {one.rows:,} rows in {one.archives} archive{'' if one.archives == 1 else 's'}"
    title += f", {one.rows - one.live:,} came back or had stayed" if one.live < one.rows else ""
    title += ", held" if one.held else ""
    return Column(x, width, round(high, 1), round(max(live, _LEAST if one.live else 0), 1), bool(one.held), title)


def _span(found: Iterable[str]) -> list[str]:
    """Every partition from the first to the last, with those that nothing is in; not many more than MOST."""
    label, last = min(found), max(found)
    labels = [label]
    while label < last and len(labels) <= MOST:
        label = _next(label)
        labels.append(label)
    return labels


def _next(label: str) -> str:
    numbers = [int(one) for one in label.split("-")]
    if len(numbers) == 1:
        return f"{numbers[0] + 1:04d}"
    if len(numbers) == 2:
        year, month = divmod(numbers[0] * 12 + numbers[1], 12)
        return f"{year:04d}-{month + 1:02d}"
    return f"{date(*numbers) + timedelta(days=1)}"


def _coarser(found: Mapping[str, PartitionOut], length: int) -> dict[str, PartitionOut]:
    """Partitions by so many letters of their labels: days by their months, months by their years."""
    made: dict[str, PartitionOut] = {}
    for label, one in found.items():
        before = made.get(label[:length])
        numbers = {name: getattr(one, name) + (getattr(before, name) if before else 0)
                   for name in ("archives", "rows", "live", "bytes", "held")}  # fmt: skip
        made[label[:length]] = one.model_copy(update={"partition": label[:length], **numbers})
    return made
