"""The local Qdrant: a small server over the real engine, for trying and testing (see `qdrant_local`)."""

from __future__ import annotations

import sys

from data_workbench.servers.credentials import HOST
from data_workbench.servers.probe import http_trouble
from data_workbench.servers.service import Service


class QdrantService(Service):
    """Vectors; speaks the part of Qdrant's REST API that its stock client uses."""

    name = "qdrant"
    ports = ("qdrant",)

    def command(self) -> list[str]:
        """This Python, running the server's module."""
        module = "data_workbench.servers.qdrant_local"
        return [sys.executable, "-m", module, "--data", str(self.home), "--host", HOST, "--port", str(self.port)]

    def trouble(self) -> str | None:
        """Ask whether it is ready."""
        return http_trouble(f"http://{HOST}:{self.port}/readyz")

    def detail(self) -> str:
        """The address, and that it is not the real server."""
        return f"http://{HOST}:{self.port} (local, for trying and testing only)"
