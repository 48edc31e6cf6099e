"""What the servers and models of tests are made of, fetched ahead and at once: `make downloads`.

A first run would wait for it at the first test of each, minutes in which nothing else moves. What cannot be had is told
here and decided there: the tests that need it fail, or are skipped, with that reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests import local_kafka, local_mariadb

from data_workbench.embedding import minilm
from data_workbench.errors import WorkbenchError
from data_workbench.maven import fetch_classpath, fetch_jar
from data_workbench.servers import fuseki, neo4j

CACHE = Path(os.environ.get("WORKBENCH_CACHE") or Path(__file__).parent.parent / ".workbench" / "cache").absolute()
"""Where the tests of this repository keep what was downloaded."""

WANTED: dict[str, Callable[..., object]] = {
    neo4j.COORDINATE: fetch_classpath,
    local_kafka.COORDINATE: fetch_classpath,
    minilm.COORDINATE: fetch_jar,
    fuseki.COORDINATE: fetch_jar,
    local_mariadb.COORDINATE: fetch_jar,
}
"""How each is fetched, the one that is needed first at the front."""


def main() -> None:
    """Fetch all that is not there yet."""
    with ThreadPoolExecutor(len(WANTED)) as pool:
        for told in pool.map(_fetched, WANTED):
            if told:
                print(told, flush=True)


def _fetched(coordinate: str) -> str | None:
    try:
        WANTED[coordinate](coordinate, cache=CACHE, say=partial(print, flush=True))
    except WorkbenchError as reason:
        return f"not fetched: {reason.message}"
    return None


if __name__ == "__main__":
    main()
