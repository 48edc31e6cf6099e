"""What a contract may say about the rows of a source or step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from data_workbench.records.definitions import ColumnName, Columns, Mistake, Model, Most, Text


class Reference(Model):
    """Values must stand in a column of another stream."""

    connection: Text = Field(description="Connection id of the store the values must stand in")
    stream: Text = Field(description="Its table, label, collection or file")
    column: ColumnName = Field(description="Its column")


Scalar = str | int | float | bool


class ColumnContract(Model):
    """What a column promises."""

    required: bool = Field(False, description="Not null")
    unique: bool = Field(False, description="No value twice; nulls are not compared")
    type: Text | None = Field(None, description="Type the values have, as in a cast: text, decimal(10,2), uuid, …")
    values: list[Scalar] | None = Field(None, min_length=1, description="The only values allowed")
    pattern: Text | None = Field(None, description="RE2 regular expression that must match somewhere in the value")
    min: Scalar | None = Field(None, description="Least value; a date is written as text")
    max: Scalar | None = Field(None, description="Greatest value; a date is written as text")
    min_length: int | None = Field(None, ge=0, description="Least number of characters")
    max_length: int | None = Field(None, ge=0, description="Greatest number of characters")
    references: Reference | None = Field(None, description="Values must stand in a column of another stream")
    classification: Text | None = Field(None, description="How sensitive the column is, e.g. public, controlled")
    description: Text | None = Field(None, description="What the column means; shown in the catalogue")


class Contract(Model):
    """What the rows of a source or step promise."""

    columns: dict[ColumnName, ColumnContract] = Field(default_factory=dict, description="Promises by column")
    unique: list[Columns] = Field(
        default_factory=list, description="Column lists of which no combination may occur twice"
    )
    on_invalid: Literal["quarantine", "fail", "warn"] = Field(
        "quarantine", description="What happens to a row that breaks a promise: set aside, end the run, or only tell"
    )
    max_quarantined: Most | None = Field(
        None,
        description="More rows of it set aside, as a number or as a share such as 1%, fail the run before a load",
    )

    @model_validator(mode="after")
    def _sets_aside(self) -> Contract:
        if self.max_quarantined is not None and self.on_invalid != "quarantine":
            raise Mistake(
                f"with on_invalid: {self.on_invalid} no row is set aside",
                at="max_quarantined",
                hint="leave it out, or write on_invalid: quarantine",
            )
        return self
