"""Pages escape what stores say, and put numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from data_workbench.api.datamodels.connections import CheckOut, ConnectionOut
from data_workbench.api.pages.connections import HEIGHT, SHOWN, WIDTH, bars
from data_workbench.api.pages.rendering import ago, amount, milliseconds, page
from data_workbench.errors import StoreUnavailable

NOW = datetime.now(UTC)


def check(state: str, *latencies: float, cause: str = "fine") -> CheckOut:
    return CheckOut(checked=NOW, state=state, cause=cause, latencies=list(latencies))  # type: ignore[arg-type]


def test_what_a_store_says_is_text_never_markup() -> None:
    hostile = "<script>alert(1)</script>\"'&"
    one = ConnectionOut(
        name=hostile,
        state="degraded",
        cause=hostile,
        since=NOW,
        checked=NOW,
        last_success=None,
        version=hostile,
        latency_p50=0.01,
        latency_p95=1.5,
        vitals=[{"name": hostile, "value": 1.0, "unit": "bytes", "trouble": hostile}],
    )
    strips = {hostile: bars([check("broken", cause=hostile)])}
    counts = {"healthy": 0, "degraded": 1, "broken": 0}
    answer = page(
        "connections.html", title="Connections", connections=[one], strips=strips, counts=counts, size=(WIDTH, HEIGHT)
    )
    text = bytes(answer.body).decode()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 5
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "10 ms" in text
    assert "last success never" in text


def test_trouble_has_a_page_of_its_own() -> None:
    error = StoreUnavailable("the metastore is away", hint="start it")
    text = bytes(page("trouble.html", title="Connections", error=error).body).decode()
    assert "the metastore is away" in text
    assert "start it" in text


def test_the_strip_grows_from_the_right_and_a_broken_check_fills_it() -> None:
    made = bars([check("healthy", 0.5), check("healthy", 1.0), check("broken")])
    assert [one.height for one in made] == [HEIGHT / 2, HEIGHT, HEIGHT]
    assert [one.x for one in made] == [(SHOWN - 3 + place) * WIDTH / SHOWN for place in range(3)]
    assert bars([]) == []


@pytest.mark.parametrize(
    ("seconds", "told"), [(1, "just now"), (240, "4 min ago"), (7_300, "2 h ago"), (200_000, "2 d ago")]
)
def test_ages(seconds: int, told: str) -> None:
    assert ago(datetime.now(UTC) - timedelta(seconds=seconds)) == told


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (None, "bytes", "not told"),
        (True, "", "yes"),
        (False, "", "no"),
        (999.0, "bytes", "999 B"),
        (2.5e9, "bytes", "2.5 GB"),
        (3e12, "bytes", "3.0 TB"),
        (30.0, "seconds", "30 s"),
        (7200.0, "seconds", "2.0 h"),
        (12.0, "of 100", "12 of 100"),
    ],
)
def test_amounts(value: float | bool | None, unit: str, told: str) -> None:
    assert amount(value, unit) == told


def test_latencies_are_short() -> None:
    assert [milliseconds(one) for one in (None, 0.0123, 1.26)] == ["–", "12 ms", "1.3 s"]
