"""Running a store's own programs: their output as a stream, their input fed, their complaints as our errors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.errors import AccessDenied, FatalError, StoreUnavailable, Unsupported, WorkbenchError

_BLOCK = 1024**2
_BROKEN = (-signal.SIGSEGV, -signal.SIGILL, -signal.SIGBUS)
"""Ends of a program that was not built for this machine, or badly."""
_LACKING = re.compile(r"requires the server to be built with (\w+) support|(\w+) is not supported in this build")
_PASSED = ("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "channel_binding", "gssencmode", "krbsrvname")


def libpq_environment(config: PostgresConfig, *, database: str | None = None) -> dict[str, str]:
    """libpq's variables for a connection: a password in an argument would be seen by all users of the machine."""
    values = {
        "PGHOST": config.host,
        "PGPORT": str(config.port),
        "PGDATABASE": database or config.database,
        "PGUSER": config.user,
        "PGPASSWORD": config.password.get_secret_value() if config.password else None,
        "PGCONNECT_TIMEOUT": str(config.connect_timeout),
        "PGCLIENTENCODING": "UTF8",
        **{f"PG{name.upper().replace('_', '')}": getattr(config, name) for name in _PASSED},
    }
    return {name: value for name, value in values.items() if value is not None}


def output(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[bytes]:
    """What a program writes, block by block.

    Raises:
        WorkbenchError: it failed; what it said is told.
    """
    with tempfile.TemporaryFile() as said:
        process = _start(command, environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        assert process.stdout is not None
        try:
            while block := process.stdout.read(_BLOCK):
                yield block
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            process.wait()
        _require_success(process, command, said)


def feed(command: Sequence[str], environment: Mapping[str, str], blocks: Iterable[bytes]) -> None:
    """Run a program on this input.

    Raises:
        WorkbenchError: it failed, or the input did.
    """
    with tempfile.TemporaryFile() as said:
        process = _start(command, environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        assert process.stdin is not None
        try:
            for block in blocks:
                process.stdin.write(block)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it stopped reading; its exit code and its words say why
        except BaseException:
            process.kill()
            raise
        finally:
            _close(process.stdin)
            process.wait()
        _require_success(process, command, said)


def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """All a program writes, for small answers."""
    return b"".join(output(command, environment)).decode(errors="replace")


def _start(
    command: Sequence[str], environment: Mapping[str, str], *, stdin: int, stdout: int, stderr: IO[bytes]
) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    surroundings = {**kept, "LC_ALL": "C.UTF-8", **environment}
    return subprocess.Popen(list(command), stdin=stdin, stdout=stdout, stderr=stderr, env=surroundings)


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        pass


def _require_success(process: subprocess.Popen[bytes], command: Sequence[str], said: IO[bytes]) -> None:
    if process.returncode == 0:
        return
    said.seek(0)
    lines = [line.strip() for line in said.read(65_536).decode(errors="replace").splitlines() if line.strip()]
    raise _meaning(Path(command[0]).name, process.returncode, lines)


def _meaning(program: str, code: int, lines: list[str]) -> WorkbenchError:
    told = next((line for line in lines if "error:" in line.lower() or "fatal:" in line.lower()), None)
    if code in _BROKEN:
        return Unsupported(f"{program} does not run on this machine (signal {-code})", hint=f"a {program} that runs")
    text = f"{program} failed: {(told or (lines[-1] if lines else f'exit code {code}'))[:500]}"
    lacking = next(filter(None, map(_LACKING.search, lines)), None)
    if lacking is not None:  # types and collations that only some builds of the server have
        return Unsupported(text, hint=f"a PostgreSQL server built with {lacking[1] or lacking[2]}")
    if any("password authentication failed" in line or "permission denied" in line for line in lines):
        return AccessDenied(text, hint="the connection's role needs the right to read, or to make, all of it")
    if any("could not connect" in line or "connection to server" in line for line in lines):
        return StoreUnavailable(text, hint="is the server up, and the connection's address right?")
    return FatalError(text, hint="; ".join(lines[-3:])[:500] or None)
