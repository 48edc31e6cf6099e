"""Units of measurement, by pint: once for each unit that occurs, never for each row.

A unit's conversion is a factor and a shift (degrees have one); what is not linear (decibels) is refused.
"""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING, Any

from data_workbench.errors import TransformError
from data_workbench.transforms.plan import Action

if TYPE_CHECKING:
    import duckdb
    import pint

_MOST_UNITS = 10_000
"""Different units in one column: a column with more holds no units."""
_WRITTEN = re.compile(r"[\w °%²³*/^().·-]{1,60}")
_FAR = 2**10
_MANY_DIGITS = re.compile(r"\d{3}")  # no power of a unit has three digits; pint would compute it


@functools.cache
def _registry() -> pint.UnitRegistry[Any]:
    import pint

    return pint.UnitRegistry(cache_folder=None)


def symbol(unit: str) -> str:
    """The short form of a unit: kilogram is kg.

    Raises:
        ValueError: there is no such unit.
    """
    return f"{_unit(unit):~C}"


def _unit(text: str) -> pint.Unit:
    text = text.strip()
    if not text or text[0] in "0123456789." or not _WRITTEN.fullmatch(text) or _MANY_DIGITS.search(text):
        raise ValueError(f"{text!r} is no unit")
    try:
        return _registry().parse_units(text)
    except Exception as error:  # pint reads with Python's tokenizer, and lets out whatever that raises
        raise ValueError(f"{text!r} is no unit that pint knows") from error


def conversion(unit: str, wanted: str | None) -> tuple[float, float, str]:
    """Factor and shift from a unit to the wanted one (None: as it is), and the symbol of what comes out.

    Raises:
        ValueError: there is no such unit, or it measures something else.
    """
    import pint

    written = _unit(unit)
    if wanted is None:
        return 1.0, 0.0, f"{written:~C}"
    target = _unit(wanted)
    quantity = _registry().Quantity
    try:
        at = [float(quantity(float(value), written).to(target).magnitude) for value in (0, 1, 2, _FAR)]
    except (pint.errors.PintError, ArithmeticError, ValueError) as error:
        raise ValueError(f"{unit!r} cannot be converted to {wanted!r}") from error
    # The shift of a degree is hundreds of its factor, and would take three digits of it at 1.
    shift, factor = (0.0, at[1]) if at[0] == 0 else (at[0], (at[3] - at[0]) / _FAR)
    if not math.isclose(at[2], shift + 2 * factor, rel_tol=1e-9, abs_tol=1e-12):
        raise ValueError(f"{unit!r} is not converted to {wanted!r} by a factor")
    return factor, shift, f"{target:~C}"


def fill_units(engine: duckdb.DuckDBPyConnection, action: Action, step: str) -> None:
    """Put the conversion of each unit that occurs into the table the step joins; units unknown to pint are left out."""
    table, wanted = action.arguments["table"], action.arguments["to"]
    found = engine.execute(f"SELECT DISTINCT unit FROM ({action.sql}) WHERE unit IS NOT NULL LIMIT {_MOST_UNITS + 1}")
    units = [str(row[0]) for row in found.fetchall()]
    if len(units) > _MOST_UNITS:
        raise TransformError(
            f"{step}: parse: more than {_MOST_UNITS} different units stand in the column",
            hint="is it the right column?",
        )
    rows = []
    for unit in units:
        try:
            rows.append([unit, *conversion(unit, wanted)])
        except ValueError:
            continue
    if rows:
        engine.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", rows)
