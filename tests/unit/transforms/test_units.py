"""Units: what pint knows, once for each unit, and nothing that takes it long to read."""

from __future__ import annotations

import pytest

from data_workbench.transforms.units import conversion, symbol


@pytest.mark.parametrize(
    ("unit", "wanted", "factor", "shift"),
    [
        ("kg", "kg", 1.0, 0.0),
        ("g", "kg", 0.001, 0.0),
        ("km/h", "m/s", 1 / 3.6, 0.0),
        ("degF", "degC", 5 / 9, -160 / 9),
        ("µm", "mm", 0.001, 0.0),
        ("N*m", "J", 1.0, 0.0),
    ],
)
def test_a_unit_is_converted_by_factor_and_shift(unit: str, wanted: str, factor: float, shift: float) -> None:
    found = conversion(unit, wanted)
    assert found[:2] == (pytest.approx(factor), pytest.approx(shift))


@pytest.mark.parametrize(
    "unit",
    ["", "parrots", "kg**999", "__import__('os')", "kg; m", "(" * 50, "x" * 61, "5", "kg\nm", "m if m else m", "[1]"],
)
def test_what_is_no_unit_is_said_so(unit: str) -> None:
    with pytest.raises(ValueError, match="no unit"):
        conversion(unit, None)


@pytest.mark.parametrize(("unit", "wanted"), [("m", "kg"), ("dB", "Hz"), ("dBm", "W")])
def test_what_no_factor_converts_is_refused(unit: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=unit):
        conversion(unit, wanted)


def test_symbols_are_short() -> None:
    assert [symbol(one) for one in ("kilogram", "meter/second**2", "degree_Celsius")] == ["kg", "m/s**2", "°C"]


def test_degrees_lose_no_digits() -> None:
    factor, shift, _ = conversion("degF", "K")
    assert factor == pytest.approx(5 / 9, rel=1e-15)
    assert [68 * factor + shift, -40 * factor + shift] == pytest.approx([293.15, 233.15], rel=5e-16)
