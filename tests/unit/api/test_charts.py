"""Charts say the same as data, as words and as a table; the program that draws them is the one that was published."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from importlib.resources import files

from fastapi import FastAPI
from fastapi.testclient import TestClient

from data_workbench.api.pages import script
from data_workbench.api.pages.charts import bars, line, timeline
from data_workbench.api.pages.rendering import page
from data_workbench.metastore.anomalies import Unusual
from data_workbench.metastore.quality_metrics import Measured

BEGIN = datetime(2026, 1, 1, 3, tzinfo=UTC)
VALUES = [Measured(BEGIN + timedelta(days=day), 100.0 + day) for day in range(5)]
STRANGE = Unusual("pg:t", "price", "median", VALUES[3].measured, 103.0, 90.0, 99.0, 7.5, True)


def test_echarts_is_the_published_file_with_its_licence_and_is_kept_for_good() -> None:
    folder = files("data_workbench.api.pages").joinpath("vendored", "echarts")
    content = folder.joinpath(script.ECHARTS.file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == script.ECHARTS.sha256
    assert f'.version="{script.ECHARTS.version}"'.encode() in content
    assert b"eval(" not in content, "the page's policy allows none"
    assert b"new Function" not in content
    assert "Apache License" in folder.joinpath("LICENSE").read_text()
    assert "Apache Software Foundation" in folder.joinpath("NOTICE").read_text()
    assert "Redistribution and use" in folder.joinpath("LICENSE-d3").read_text()

    app = FastAPI()
    app.include_router(script.router())
    with TestClient(app) as client:
        answer = client.get(f"/pages/{script.ECHARTS.address}")
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert script.ECHARTS.version in script.ECHARTS.address
        for name in ("forms.js", "lineage.js", "charts.js"):
            ours = client.get(f"/pages/{name}")
            assert (ours.headers["cache-control"], ours.headers["content-type"]) == (
                "no-cache",
                "text/javascript; charset=utf-8",
            )
        assert client.get("/pages/vendored/echarts-1.0.0.common.min.js").status_code == 404
    digest = base64.b64decode(script.ECHARTS.integrity.removeprefix("sha256-"))
    assert digest.hex() == script.ECHARTS.sha256


def test_a_line_is_told_by_words_and_rows_and_marks_what_was_unusual() -> None:
    drawn = line("price: median", VALUES, unusual={STRANGE.measured: STRANGE})
    assert drawn is not None
    assert drawn.words == "price: median over time: 100 on 2026-01-01, 104 on 2026-01-05 03:00 UTC; 1 unusual"
    assert drawn.data["points"][0] == [int(BEGIN.timestamp() * 1000), 100.0, None]
    assert drawn.data["points"][3][2] == "103, expected 90 to 99"
    assert drawn.rows[0] == ("2026-01-05 03:00 UTC", "104", ""), "the newest first"
    assert drawn.rows[1][2] == "103, expected 90 to 99"
    assert line("nothing", []) is None
    assert line("no number", [Measured(BEGIN, float("nan"))]) is None
    json.dumps(drawn.data, allow_nan=False)


def test_bars_and_the_timeline_say_what_they_show() -> None:
    histogram = [{"from": 0, "to": 1, "count": 3}, {"from": 1, "to": 2, "count": 1200}]
    drawn = bars("price", histogram, is_time=False)
    assert drawn is not None
    assert drawn.words == "How price is spread: from 0 to 2, most (1,200) from 1 to 2"
    assert drawn.rows == [("0", "1", "3"), ("1", "2", "1,200")]
    moments = bars("seen", [{"from": 0, "to": 1e20, "count": 1}], is_time=True)
    assert moments is not None
    assert moments.rows == [("1970-01-01 00:00", "1e+20 s", "1")]
    assert bars("none", [], is_time=False) is None
    told = timeline([STRANGE])
    assert told is not None
    assert told.words == "1 unusual values of 1 metrics, the latest price: median on 2026-01-04 03:00 UTC"
    assert told.data["rows"] == ["price: median"]
    assert timeline([]) is None


def test_a_hostile_name_stays_data_in_a_page_with_charts() -> None:
    hostile = "'\"><img src=x onerror=alert(1)></script>&amp;"
    drawn = line(hostile, VALUES)
    assert drawn is not None
    told = {"datasets": [], "broken": [], "counts": dict.fromkeys(("failed", "not_evaluated", "warned", "passed"), 0)}
    dataset = {"dataset": hostile, "score": 99.0, "dimensions": {}, "checks": {}, "checked": BEGIN, "owners": []}
    told["datasets"] = [(dataset, "healthy", drawn, "quality/dataset?name=x")]  # type: ignore[assignment]
    answer = page("quality.html", title="Quality", colours={}, incidents=[], charts="", **told)
    text = bytes(answer.body).decode()
    assert "<img" not in text
    [data] = re.findall(r"data-chart='([^']*)'", text)
    assert json.loads(unescape(data))["name"] == hostile
    assert f'data-integrity="{script.ECHARTS.integrity}"' in text
    assert answer.headers["content-security-policy"].endswith("; script-src 'self'")
    assert "unsafe-eval" not in answer.headers["content-security-policy"]
