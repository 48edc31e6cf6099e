"""Who was killed while Neo4j's files were worked on leaves a program at work: a server starts when that has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_workbench.errors import StoreBusy
from data_workbench.servers.neo4j import Neo4jService
from data_workbench.settings import Settings

_CALLER = """
import sys
from pathlib import Path
from data_workbench.servers.neo4j import Neo4jService
from data_workbench.settings import Settings
place = Path(sys.argv[1])
service = Neo4jService(Settings(home=place))
service._java = lambda **_: ["sh", "-c", f"echo > {place}/begun; read line < {place}/go; echo > {place}/ended"]
service._child_environment = lambda: {"PATH": "/usr/bin:/bin"}
service.admin("database", "load")
"""


def test_a_server_waits_for_a_load_whose_caller_was_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    service = Neo4jService(Settings(home=tmp_path))
    service.home.mkdir()
    with subprocess.Popen([sys.executable, "-c", _CALLER, str(tmp_path)]) as caller:
        while not (tmp_path / "begun").exists():
            assert caller.poll() is None
        caller.kill()
    with ThreadPoolExecutor(1) as beside:
        said: list[str] = []

        def waits() -> bool:
            with service._administered(said.append):
                return (tmp_path / "ended").exists()

        waiting = beside.submit(waits)
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        require_told(service)
        (tmp_path / "go").write_text("go\n")
        assert waiting.result(60)
    [line] = said
    assert line.startswith("waiting for a program that works on the files of")


def require_told(service: Neo4jService) -> None:
    """Whose patience ends is told what holds the files, and what to do."""
    hasty = Neo4jService(service.settings)
    hasty.files_timeout = 0.0
    with pytest.raises(StoreBusy, match="another program has worked on the files of") as told, hasty._administered():
        pass
    assert str(service.home / "admin.lock") in str(told.value.hint)
