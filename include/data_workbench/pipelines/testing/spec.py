"""What a test file `<pipeline>.test.yaml` may say, version 1."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from data_workbench.records.definitions import ColumnName, Columns, Mistake, Model, Name, Text

Given = Annotated[str, StringConstraints(pattern=r"^(lookup:|reference:|enrich:)?[a-z][a-z0-9_]{0,62}(:.{1,200})?$")]
"""A source, `lookup:STEP`, `enrich:STEP`, or `reference:NODE:COLUMN`."""
Row = dict[ColumnName, Any]
Counter = Literal["read", "in", "out", "expanded", "filtered", "deduplicated", "discarded", "quarantined", "collapsed"]


class RowsFile(Model):
    """Rows in a file beside the test file, read as the pipeline's own source would read it."""

    file: Text = Field(description="Path below the test file's folder: CSV, JSON lines, Parquet, …")


class ExpectedRecord(Model):
    """One row that must be in the quarantine; what is left out may be anything."""

    at: Name = Field(description="Source or step whose rule the row breaks")
    rule: Text | None = Field(None, description="A rule it breaks, as `workbench quarantine list` names it")
    reason: Text | None = Field(None, description="A text that its reason holds")
    row: Row = Field(default_factory=dict, description="Columns and their values")


class ExpectedError(Model):
    """The run must end in this error."""

    kind: Text = Field(description="Kind of the error, such as ContractViolated")
    message: Text | None = Field(None, description="A text that its message holds")


class Expected(Model):
    """What must come out."""

    rows: dict[Name, list[Row]] = Field(
        default_factory=dict,
        description="By source, step, or destination with one input: all its rows, in any order; "
        "of columns that no row names nothing is asked",
    )
    deleted: dict[Name, list[Row]] = Field(
        default_factory=dict, description="Likewise the rows that are passed on as deletions"
    )
    quarantined: list[ExpectedRecord] = Field(
        default_factory=list, description="All rows that are quarantined; none if left out"
    )
    counts: dict[Name, dict[Counter, int]] = Field(
        default_factory=dict, description="Counts by source or step; see the balance of runs"
    )
    error: ExpectedError | None = Field(None, description="The error the run ends in")

    @model_validator(mode="after")
    def _asks(self) -> Expected:
        if not self.model_fields_set:
            raise Mistake("nothing is expected", hint="add rows, deleted, quarantined, counts or error")
        if self.error is not None and len(self.model_fields_set) > 1:
            raise Mistake("a run that ends in an error has no rows", at="error", hint="expect the error alone")
        return self


class Case(Model):
    """One test."""

    name: Text = Field(description="What holds, as a sentence")
    params: dict[Name, str | int | float | bool] = Field(default_factory=dict, description="Params of the run")
    now: Text | None = Field(None, description="The run's time, ISO 8601; 2026-01-01T00:00:00Z if left out")
    given: dict[Given, list[Row] | RowsFile] = Field(
        default_factory=dict,
        description="Rows by source, `lookup:STEP`, `enrich:STEP` or `reference:NODE:COLUMN`; "
        "goes before the file's own `given`",
    )
    expect: Expected = Field(description="What must come out")

    @model_validator(mode="after")
    def _has_a_time(self) -> Case:
        try:
            datetime.fromisoformat(self.now or "2026-01-01")
        except ValueError:
            raise Mistake(f"{self.now!r} is no time", at="now", hint="write 2026-01-01T00:00:00Z") from None
        return self


class Cases(Model):
    """A test file, beside its pipeline."""

    page: ClassVar[str] = "pipeline-tests.md"

    version: Literal[1] = Field(description="Version of the language: 1")
    pipeline: Text | None = Field(
        None, description="Path of the pipeline below this folder; `NAME.yaml` for `NAME.test.yaml` if left out"
    )
    columns: dict[Given, dict[ColumnName, Text]] = Field(
        default_factory=dict,
        description="Types of given columns, by source: text, integer, decimal(10,2), uuid, timestamptz, …; "
        "what is not told is read from the values",
    )
    keys: dict[Name, Columns] = Field(
        default_factory=dict, description="Primary keys of sources whose key the pipeline leaves to the store"
    )
    given: dict[Given, list[Row] | RowsFile] = Field(default_factory=dict, description="Rows that all tests share")
    tests: list[Case] = Field(min_length=1, max_length=500, description="The tests")
