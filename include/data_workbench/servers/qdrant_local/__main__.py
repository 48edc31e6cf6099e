"""Run the local Qdrant until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from data_workbench.servers.qdrant_local import TITLE
from data_workbench.servers.qdrant_local.app import create_app
from data_workbench.servers.qdrant_local.store import Store


def main() -> None:
    """Serve one data folder; a key in WORKBENCH_QDRANT_API_KEY is then asked of clients."""
    parser = argparse.ArgumentParser(prog="qdrant_local", description=TITLE)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger(__name__).info("%s; data in %s", TITLE, options.data)
    store = Store(options.data)
    app = create_app(store, api_key=os.environ.get("WORKBENCH_QDRANT_API_KEY"))
    app.router.lifespan_context = _closing(store)
    uvicorn.run(app, host=options.host, port=options.port, log_level="info", access_log=False)


def _closing(store: Store):  # type: ignore[no-untyped-def]  # the lifespan's type is Starlette's own business
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    return lifespan


if __name__ == "__main__":
    main()
