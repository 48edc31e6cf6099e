"""What all pages share: templates that escape everything, headers that let nothing in or out, words for numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fastapi.responses import HTMLResponse

from data_workbench.api.pages.script import ECHARTS
from data_workbench.errors import MomentUnreadable, StateError, UsageError, WorkbenchError

if TYPE_CHECKING:
    from jinja2 import Environment

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'"
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def trouble(title: str, error: WorkbenchError) -> HTMLResponse:
    """The page that tells why another cannot be shown.

    What was typed is no time (400), there is no such thing (404), or it cannot be told now (503).
    """
    status = 404 if isinstance(error, UsageError | StateError) else 503
    status = 400 if isinstance(error, MomentUnreadable) else status
    return page("trouble.html", status=status, title=title, error=error)


def page(
    template: str,
    *,
    status: int = 200,
    has_forms: bool = False,
    has_search: bool = False,
    script: str | None = None,
    charts: str | None = None,
    **values: Any,
) -> HTMLResponse:
    """A rendered page with its headers; one with forms may load our script, and ask this server.

    Args:
        has_search: whether its only form asks for the page again; then it does not renew itself under who is typing.
        script: of a page that moves: its own script, beside it; its forms ask for the page again.
        charts: of a page with charts: the way from it to the scripts, `""` or `"../"`.
    """
    known = {"now": datetime.now(UTC), "has_forms": has_forms, "has_search": has_search, "script": script}
    known |= {"charts": charts, "echarts": ECHARTS}
    text = _environment().get_template(template).render({"forms": "../forms.js", **known, **values})
    policy = [_POLICY]
    if script is not None or has_forms or charts is not None:
        policy.append("script-src 'self'")
    if script is not None or (has_search and not has_forms):
        policy.append("form-action 'self'")
    elif has_forms:
        policy.append("connect-src 'self'; form-action 'none'")
    headers = {"content-security-policy": "; ".join(policy), **_HEADERS}
    return HTMLResponse(text, status_code=status, headers=headers)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=PackageLoader("data_workbench.api.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
    )
    made.filters |= {"ago": ago, "amount": amount, "duration": duration, "milliseconds": milliseconds}
    made.filters |= {"number": number, "share": share, "size": size, "values": shown_values}
    return made


def ago(moment: datetime | None) -> str:
    """How long ago: `just now`, `4 min ago`, `3 h ago`, `2 d ago`; `never` for None."""
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def amount(value: float | bool | None, unit: str) -> str:
    """A number in its unit, as people read it."""
    if value is None:
        return "not told"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if unit == "bytes":
        return _bytes(value)
    if unit == "seconds":
        return f"{value:,.0f} s" if value < 600 else f"{value / 3600:,.1f} h"
    return f"{value:,.0f} {unit}".strip()


def number(value: object) -> str:
    """A count as people read it; a dash for what was not counted."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def share(value: float) -> str:
    """A share of one in per cent; only what is whole is 100 %."""
    told = f"{100 * value:.1f}%"
    return told if told != "100.0%" else "100%" if value >= 1 else "99.9%"


def duration(seconds: float | None) -> str:
    """`40 s`, `12 min`, `3.5 h`, `2.0 d`, or a dash."""
    if seconds is None:
        return "–"
    for length, unit in ((86_400, "d"), (3_600, "h")):
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def size(value: float | None) -> str:
    """Bytes as people read them; a dash for what was not measured."""
    return "–" if value is None else _bytes(value)


def shown_values(value: object) -> str:
    """JSON values in one line: `id: 7, text: …`; `null` for null."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {shown_values(one)}" for name, one in value.items())
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def milliseconds(seconds: float | None) -> str:
    """`12 ms`, `1.3 s`, or a dash."""
    if seconds is None:
        return "–"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
