"""What a contract may say about the rows of a source or step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data_workbench.records.definitions import ColumnName, Columns, Model, Text


class Reference(Model):
    """Values must stand in a column of another stream."""

    connection: Text
    stream: Text
    column: ColumnName


Scalar = str | int | float | bool


class ColumnContract(Model):
    """What a column promises."""

    required: bool = False
    unique: bool = False
    type: Text | None = None
    values: list[Scalar] | None = Field(None, min_length=1)
    pattern: Text | None = Field(None, description="RE2 regular expression that must match somewhere in the value")
    min: Scalar | None = None
    max: Scalar | None = None
    min_length: int | None = Field(None, ge=0)
    max_length: int | None = Field(None, ge=0)
    references: Reference | None = None
    classification: Text | None = None
    description: Text | None = None


class Contract(Model):
    """What the rows of a source or step promise."""

    columns: dict[ColumnName, ColumnContract] = Field(default_factory=dict)
    unique: list[Columns] = Field(default_factory=list)
    on_invalid: Literal["quarantine", "fail", "warn"] = "quarantine"
