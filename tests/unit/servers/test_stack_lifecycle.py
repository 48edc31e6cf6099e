"""Bringing services up and down, with a small real server instead of the stores."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from data_workbench.errors import FatalError, StateError, StoreUnavailable, UsageError
from data_workbench.servers import Service, Stack, http_trouble
from data_workbench.servers.processes import PidFile
from data_workbench.servers.service import foreign_data
from data_workbench.settings import PORT_OFFSETS, Settings


class Echo(Service):
    """Python's own web server."""

    name = "echo"
    ports = ("airflow",)
    start_timeout = 20.0
    stop_timeout = 5.0

    def command(self) -> list[str]:
        return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(self.port)]

    def trouble(self) -> str | None:
        return http_trouble(f"http://127.0.0.1:{self.port}")


class Broken(Echo):
    """Ends at once, with a word in its log."""

    name = "broken"

    def command(self) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit('no such flag: --speed')"]


class Deaf(Echo):
    """Runs, but never answers, and does not heed SIGTERM."""

    name = "deaf"
    start_timeout = 0.5
    stop_timeout = 0.3

    def command(self) -> list[str]:
        ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        return [sys.executable, "-c", f"{ignore}; print('deaf', flush=True); time.sleep(60)"]


class Foreign(Echo):
    """Answers, but with data of another home."""

    name = "foreign"

    def trouble(self) -> str | None:
        if super().trouble() is None:
            raise foreign_data(self)
        return "not yet"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Settings(home=tmp_path / "home", port_base=port - PORT_OFFSETS["airflow"])


def test_a_service_comes_up_once_answers_and_goes_down(settings: Settings) -> None:
    stack = Stack(settings, extra=[Echo(settings)])
    said: list[tuple[str, str]] = []
    (first,) = stack.up(["echo"], lambda service, message: said.append((service, message)))
    try:
        assert (first.state, first.port) == ("running", settings.port("airflow"))
        (again,) = stack.up(["echo"], lambda service, message: said.append((service, message)))
        assert again.pid == first.pid
        assert ("echo", "already running") in said
    finally:
        stack.down(["echo"])
    assert stack.status()[-1].state == "stopped"
    assert not psutil.pid_exists(first.pid or 0)


def test_services_outlive_the_process_that_started_them_and_are_no_leak_of_its(settings: Settings) -> None:
    stack = Stack(settings, extra=[Echo(settings)])
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from test_stack_lifecycle import Echo; from data_workbench.servers import Stack;"
        "from data_workbench.settings import Settings;"
        "s = Settings(home=Path(sys.argv[2]), port_base=int(sys.argv[3])); Stack(s, extra=[Echo(s)]).up(['echo'])"
    )
    arguments = [str(Path(__file__).parent), str(settings.home), str(settings.port_base)]
    command = [sys.executable, "-W", "default::ResourceWarning", "-c", code, *arguments]
    done = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
    try:
        assert done.stderr == ""
        assert stack.status()[-1].state == "running"
    finally:
        stack.down(["echo"])
    assert stack.status()[-1].state == "stopped"


def test_a_server_that_ends_while_starting_is_told_with_its_log(settings: Settings) -> None:
    stack = Stack(settings, extra=[Broken(settings)])
    with pytest.raises(StoreUnavailable, match="no such flag: --speed"):
        stack.up(["broken"])
    assert stack.status()[-1].state == "crashed"
    stack.down(["broken"])
    assert stack.status()[-1].state == "stopped"


def test_a_server_that_does_not_answer_in_time_is_told_and_killed_on_the_way_down(settings: Settings) -> None:
    stack = Stack(settings, extra=[Deaf(settings)])
    with pytest.raises(StoreUnavailable, match="does not answer after"):
        stack.up(["deaf"])
    status = stack.status()[-1]
    assert status.state == "starting"
    deadline = time.monotonic() + 5
    while "deaf" not in status.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    said: list[str] = []
    stack.down(["deaf"], lambda _, message: said.append(message))
    assert said[-1].startswith("killed")
    assert not psutil.pid_exists(status.pid or 0)


def test_a_server_that_refuses_our_password_is_told_at_once_and_shown(settings: Settings) -> None:
    stack = Stack(settings, extra=[Foreign(settings)])
    try:
        with pytest.raises(StateError, match=r"credentials\.json"):
            stack.up(["foreign"])
        assert stack.status()[-1].state == "failing"
    finally:
        stack.down(["foreign"])


def test_a_large_log_is_put_aside_when_a_server_starts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_workbench.servers.processes._LARGEST_LOG", 10)
    stack = Stack(settings, extra=[Broken(settings)])
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            stack.up(["broken"])
    assert {"broken.log", "broken.old.log"} <= {entry.name for entry in (settings.home / "logs").iterdir()}


def test_a_taken_port_is_named_with_its_holder_and_what_to_change(settings: Settings) -> None:
    stack = Stack(settings, extra=[Echo(settings)])
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port("airflow")))
        other.listen()
        with pytest.raises(FatalError) as caught:
            stack.up(["echo"])
        assert str(settings.port("airflow")) in caught.value.message
        assert str(os.getpid()) in caught.value.message
        assert "WORKBENCH_PORT_BASE" in str(caught.value.hint)
        assert stack.status()[-1].state == "blocked"


def test_a_crashed_server_is_seen_and_started_again(settings: Settings) -> None:
    stack = Stack(settings, extra=[Echo(settings)])
    (first,) = stack.up(["echo"])
    try:
        os.kill(first.pid or 0, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while stack.status()[-1].state != "crashed" and time.monotonic() < deadline:
            time.sleep(0.05)  # its port goes before its process does
        assert stack.status()[-1].state == "crashed"
        (second,) = stack.up(["echo"])
        assert second.state == "running"
        assert second.pid != first.pid
    finally:
        stack.down(["echo"])


def test_a_pid_used_again_by_somebody_else_is_not_ours(tmp_path: Path) -> None:
    pid_file = PidFile(tmp_path / "x.pid")
    myself = psutil.Process()
    pid_file.write(myself)
    assert pid_file.process() == myself
    pid_file.path.write_text(json.dumps({"pid": myself.pid, "started": myself.create_time() - 100}))
    assert pid_file.process() is None


@pytest.mark.parametrize("content", ["", "{}", "12", "[]", '{"pid": "x", "started": 1}'])
def test_a_damaged_pid_file_means_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.pid").write_text(content)
    assert PidFile(tmp_path / "x.pid").process() is None


def test_an_unknown_service_is_refused_with_the_known_ones(settings: Settings) -> None:
    with pytest.raises(UsageError) as caught:
        Stack(settings).up(["mysql"])
    assert "postgres" in str(caught.value.hint)
