"""Which connector serves which type of connection."""

from __future__ import annotations

import subprocess
import sys

import pytest

from data_workbench.connectors.base import Destination, Source
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.registry import CONNECTORS, Connector, connector_of, open_destination, open_source
from data_workbench.errors import Unsupported
from data_workbench.settings import Settings

_FOLDERS = ("workbench_files", "workbench_singer", "workbench_reqif")


@pytest.mark.parametrize("kind", CONNECTORS)
def test_every_connector_opens_both_sides_without_a_server(kind: str) -> None:
    host = "file:///tmp" if kind in _FOLDERS else "127.0.0.1"
    extra = {"source": "package.module:function"} if kind == "workbench_dlt" else {}
    connection = Connection("c", kind, host=host, port=1, database="d", extra=extra)
    with open_source(connection, Settings()) as source:
        assert isinstance(source, Source)
    if CONNECTORS[kind].destination is None:
        return
    with open_destination(connection, Settings()) as destination:
        assert isinstance(destination, Destination)
        assert destination.capabilities.dispositions <= {"append", "replace", "merge"}
        assert destination.capabilities.targets <= {"table", "file", "node", "relationship", "collection", "resource"}
        assert ("replace" in destination.capabilities.dispositions) == (destination.capabilities.replace is not None)


def test_a_type_nobody_serves_is_refused_with_those_that_are() -> None:
    with pytest.raises(Unsupported, match="of type 'oracle'") as caught:
        connector_of(Connection("c", "oracle"))
    assert ", ".join(sorted(CONNECTORS)) in str(caught.value.hint)


def test_a_connector_with_one_side_says_which_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Connector(
        "feed", "A feed", CONNECTORS["workbench_files"].source, None, "feed", CONNECTORS["workbench_files"].config
    )
    monkeypatch.setattr("data_workbench.connectors.registry.CONNECTORS", {"feed": reads})
    open_source(Connection("c", "feed", host="file:///tmp"), Settings()).close()
    with pytest.raises(Unsupported, match="does not write"):
        open_destination(Connection("c", "feed"), Settings())


def test_listing_stores_imports_no_driver() -> None:
    code = (
        "import sys; from data_workbench.connectors.registry import CONNECTORS; "
        "print([m for m in ('psycopg', 'neo4j', 'qdrant_client', 'duckdb', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
