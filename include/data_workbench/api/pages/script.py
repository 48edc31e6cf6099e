"""The scripts that pages have: ours beside this file, and what others wrote, as they published it, in `vendored`.

`forms.js` sends what a form holds as JSON, `lineage.js` moves in a drawing, `charts.js` draws numbers with ECharts.
A plain form of HTML could be sent by any other site with the user's cookie; see `access.from_here`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Response

_OURS: Final = ("forms.js", "lineage.js", "charts.js")


@dataclass(frozen=True)
class Vendored:
    """A script of a package of npm, byte for byte; a test holds the file to `sha256`, and so does each browser."""

    package: str
    version: str
    file: str
    sha256: str

    @property
    def address(self) -> str:
        """Beside the pages; another version has another one, so that this one may be kept for good."""
        name, _, rest = self.file.partition(".")
        return f"vendored/{name}-{self.version}.{rest}"

    @property
    def integrity(self) -> str:
        """What a page says of it to the browser."""
        return f"sha256-{base64.b64encode(bytes.fromhex(self.sha256)).decode()}"


ECHARTS: Final = Vendored(
    "echarts", "6.1.0", "echarts.common.min.js", "61f13280aba3161f77fc801bf5f9c786f55f10432153a0683fc5cc0700b013d5"
)
"""Apache ECharts, its published build of the common charts (licence and notice beside the file)."""


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")
    for name in _OURS:
        found.add_api_route(f"/{name}", _giving(name), methods=["GET"], name=name)

    @found.get(f"/{ECHARTS.address}")
    def echarts() -> Response:
        return _script(_content(ECHARTS), "private, max-age=31536000, immutable")

    return found


@cache
def _content(one: Vendored) -> bytes:
    return files("data_workbench.api.pages").joinpath("vendored", one.package, one.file).read_bytes()


def _giving(name: str) -> Callable[[], Response]:
    def script() -> Response:
        return _script(files("data_workbench.api.pages").joinpath(name).read_bytes(), "no-cache")

    return script


def _script(content: bytes, kept: str) -> Response:
    headers = {"x-content-type-options": "nosniff", "cache-control": kept}
    return Response(content, media_type="text/javascript", headers=headers)
