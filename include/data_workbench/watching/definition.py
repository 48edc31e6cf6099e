"""The file of watches, `dags/watches.yaml`: which streams are watched, and how."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from data_workbench.records.definitions import ColumnName, Columns, Lag, Mistake, Model, Text

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])i?B")
_FACTORS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no size; write for example 512MB or 4GB")
    return int(float(found[1]) * _FACTORS[found[2]])


Size = Annotated[int, BeforeValidator(_bytes), Field(ge=2**20)]
SlotName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class WatchedCursor(Model):
    """What says that a row is new."""

    column: ColumnName = Field(description="Grows with every change of a row")
    lag: Lag | None = Field(None, description="How late a row may come")


class WatchedStream(Model):
    """A stream that others write."""

    connection: Text = Field(description="Where it is")
    stream: Text = Field(description="A table, a label, [:TYPE], a collection")
    how: Literal["wal", "cursor", "compare"] = Field(
        "compare",
        description="wal: every change, out of PostgreSQL's log; cursor: rows with a new cursor, read again and "
        "hashed; compare: all rows, read again and hashed",
    )
    key: Columns | None = Field(None, description="What tells which row is meant; the store's own key without it")
    columns: Columns | None = Field(None, description="Changes of these count; all without it")
    cursor: WatchedCursor | None = Field(None, description="With `how: cursor`")
    deletes: bool = Field(True, description="With `how: cursor`: read all keys, too, to find what is gone")
    values: bool = Field(False, description="Keep what rows were before and after; only hashes without it")
    mask: Columns | None = Field(None, description="Columns whose values are never kept, beside the classified ones")
    actor: ColumnName | None = Field(None, description="The column that says who changed a row")

    @model_validator(mode="after")
    def _fits(self) -> WatchedStream:
        if (self.cursor is not None) != (self.how == "cursor"):
            raise Mistake("`cursor` goes with `how: cursor`, and that with it", at="how")
        if self.columns is not None:
            wanted = {*(self.key or ()), *([self.actor] if self.actor else [])}
            missing = sorted(wanted - set(self.columns))
            if missing:
                raise Mistake(f"`columns` leaves out {missing[0]!r}, which is needed", at="columns")
        return self

    @property
    def address(self) -> str:
        """CONNECTION:STREAM."""
        return f"{self.connection}:{self.stream}"


class Watches(Model):
    """All of them."""

    version: Literal[1]
    slot: SlotName = Field("workbench_changes", description="Of `how: wal`: the name of slot and publication")
    retained: Size = Field(
        2**30, description="Of `how: wal`: a slot that holds back more log than this is dropped, and the gap is told"
    )
    watches: list[WatchedStream] = Field(max_length=500, description="The streams")

    @model_validator(mode="after")
    def _once(self) -> Watches:
        seen: set[str] = set()
        for one in self.watches:
            if one.address in seen:
                raise Mistake(f"{one.address} is there twice", at="watches")
            seen.add(one.address)
        return self
