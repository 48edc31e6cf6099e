"""Shapes of words that every part of the YAML language shares, and the base of its models.

The language's models stand in the room that does the work (steps in transforms, contracts in quality, the rest in
pipelines); `pipelines.spec.Pipeline` puts them together.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""Of a pipeline, source, step, destination or parameter."""
GraphName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,126}$")]
"""A label, relationship type or property name written in a file."""
_IRI = r'[A-Za-z][A-Za-z0-9+.-]*:[^\s<>"{}|\\^`]+'
Iri = Annotated[str, StringConstraints(pattern=f"^{_IRI}$", max_length=2000)]
"""Absolute, such as http://purl.org/dc/terms/title, or with a prefix: dcterms:title."""
GraphTerm = Annotated[str, StringConstraints(pattern=f"^([A-Za-z_][A-Za-z0-9_]{{0,126}}|{_IRI})$", max_length=2000)]
"""A label or relationship type, or the IRI of a class or property, whose last word is the name."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
"""SQL in DuckDB's dialect: one expression, known columns, allow-listed functions, `$name` for params."""


class Mistake(ValueError):
    """A rule over several keys is broken; `at` is the key it is about, below the model that has the rule."""

    def __init__(self, message: str, *, at: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST = 3653 * 86400.0


def parse_duration(value: object) -> object:
    """Turn `90s`, `5m`, `1h30m` or `2d` into a timedelta; leave numbers (for numeric cursors) and others alone."""
    if not isinstance(value, str):
        return value
    parts = _DURATION.findall(value[:100])
    if not parts or "".join(number + unit for number, unit in parts) != value.replace(" ", ""):
        raise ValueError(f"{value!r} is not a duration; write for example 90s, 5m, 1h30m or 2d")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise ValueError(f"{value!r} is longer than ten years")
    return timedelta(seconds=seconds)


def as_list(value: object) -> object:
    """One name may stand for a list of one."""
    return [value] if isinstance(value, str) else value


MOST_COLUMNS = 2000


def parse_most(value: object) -> object:
    """Check a limit written as a number of rows or as a share of them; leave other types to their own mistakes."""
    if isinstance(value, str):
        share = _SHARE.fullmatch(value)
        if not share or float(share[1]) > 100:
            raise ValueError(f"{value!r} is no share; write for example 1% or 0.5%, or a whole number of rows")
    return value


_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")


def most_of(limit: int | str, rows: int) -> float:
    """How many of so many rows a limit allows."""
    if isinstance(limit, int):
        return limit
    return float(limit.removesuffix("%")) / 100 * rows


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Lag = Annotated[timedelta | float, BeforeValidator(parse_duration)]
Most = Annotated[Annotated[int, Field(ge=0)] | str, BeforeValidator(parse_most)]
"""Rows at most: a number of them, or a share such as 1%."""
Columns = Annotated[list[ColumnName], BeforeValidator(as_list), Field(min_length=1, max_length=MOST_COLUMNS)]


class Model(BaseModel):
    """Base of the language's models: unknown keys are mistakes, values are not coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)
