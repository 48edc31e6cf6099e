"""Running a tap: a program of its own session, told everything through private files, ended when time is up.

Its arguments name files only, so the process list holds no secret; its environment has what it needs and nothing of
ours. What it prints to stderr goes to our log with the values of its configuration masked.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from data_workbench import held_folders
from data_workbench.connectors.singer.messages import BLOCK
from data_workbench.errors import AccessDenied, FatalError, ResourceExhausted, StoreUnavailable, UsageError

if TYPE_CHECKING:
    from data_workbench.connectors.singer.config import SingerConfig
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

_MOST_CATALOG = 64 * 1024**2
_LONGEST_LOG_LINE = 2000
_GRACE = 5.0
_FOLDER = "workbench-tap-"


class Tap:
    """One run of a tap; use as a context manager, which ends it and removes its files.

    Raises:
        UsageError: there is no such program.
        AccessDenied: it is not among `settings.programs`.
    """

    def __init__(self, name: str, config: SingerConfig, settings: Settings) -> None:
        self._name, self._config = name, config
        self._program = resolve_program(name, config.command[0], settings)
        self._secrets = config.secrets()
        self._last: deque[str] = deque(maxlen=10)
        self._process: subprocess.Popen[bytes] | None = None
        for folder in held_folders.left_behind(_FOLDER):  # a tap's configuration may hold a secret
            shutil.rmtree(folder, ignore_errors=True)
        self._held = held_folders.make(_FOLDER)
        self._folder = self._held.path

    def start(self, *arguments: str, **files: Mapping[str, Any]) -> Self:
        """Begin to run.

        Args:
            files: written as private JSON files; each is named by `--<name> PATH` after the arguments.
        """
        told = list(arguments)
        for flag, content in {"config": self._config.tap_config(), **files}.items():
            told += [self._config.catalog_flag if flag == "catalog" else f"--{flag}", self._file(flag, content)]
        own = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._folder), "TMPDIR": str(self._folder)}
        try:
            self._process = subprocess.Popen(
                [self._program, *self._config.command[1:], *told],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                env={**own, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **self._config.env},
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(
                f"{self._what} cannot be started: {error.strerror}",
                hint="extra.command names a program of this machine",
            ) from error
        assert self._process.stderr is not None
        self._logger = threading.Thread(target=self._log, args=(self._process.stderr,), daemon=True)
        self._logger.start()
        return self

    def blocks(self) -> Iterator[bytes]:
        """What it prints, as it comes, until it has ended well.

        Raises:
            StoreUnavailable: it printed nothing for too long, or ended with another code than 0.
        """
        process = self._running()
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                if not selector.select(self._config.timeout):
                    self.close()
                    raise StoreUnavailable(
                        f"{self._what} printed nothing for {self._config.timeout:g} s and was ended{self._said()}",
                        hint="see the log, or raise extra.timeout of the connection",
                    )
                block = os.read(descriptor, BLOCK)
                if not block:
                    break
                yield block
        self._ended(process)

    def catalog(self) -> dict[str, Any]:
        """What it prints as a whole, as JSON.

        Raises:
            FatalError: it is no catalog.
        """
        found = bytearray()
        for block in self.blocks():
            found += block
            if len(found) > _MOST_CATALOG:
                raise ResourceExhausted(f"{self._what} printed a catalog larger than {_MOST_CATALOG} bytes")
        try:
            catalog = json.loads(found)
        except (ValueError, RecursionError) as error:
            raise self._no_catalog("no JSON") from error
        if not isinstance(catalog, dict) or not isinstance(catalog.get("streams"), list):
            raise self._no_catalog("JSON without `streams`")
        return catalog

    def close(self) -> None:
        """End it with all it has started, and remove its files; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)
            self._logger.join(timeout=_GRACE)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._held.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _what(self) -> str:
        return f"the tap {Path(self._config.command[0]).name!r} of connection {self._name!r}"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the tap was not started")
        return self._process

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        try:
            code = process.wait(timeout=self._config.timeout)
        except subprocess.TimeoutExpired as error:
            self.close()
            raise StoreUnavailable(f"{self._what} closed its output and did not end") from error
        self._logger.join(timeout=_GRACE)
        if code != 0:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            raise StoreUnavailable(f"{self._what} {how}{self._said()}", hint="its last words stand in the log, too")

    def _no_catalog(self, seen: str) -> FatalError:
        return FatalError(
            f"{self._what} printed {seen} where a catalog is wanted{self._said()}",
            hint="a tap that cannot discover needs extra.catalog in its connection",
        )

    def _said(self) -> str:
        return f"; it said: {' | '.join(self._last)}" if self._last else ""

    def _log(self, stream: IO[bytes]) -> None:
        longest = max((len(secret.encode()) for secret in self._secrets), default=0)
        while raw := stream.readline(_LONGEST_LOG_LINE + longest):
            line, is_whole = raw.decode(errors="replace"), raw.endswith(b"\n")
            # What is cut off may begin with the first half of a secret, which no mask would find.
            line = self._masked(line).rstrip() if is_whole else self._masked(line)[: -longest or None]
            while not is_whole and (rest := stream.readline(_LONGEST_LOG_LINE)):
                is_whole = rest.endswith(b"\n")
            if line:
                self._last.append(line[:300])
                log.info("%s: %s", self._what, line)

    def _masked(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line

    def _file(self, name: str, content: Mapping[str, Any]) -> str:
        path = self._folder / f"{name}.json"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream)
        return str(path)


def resolve_program(name: str, program: str, settings: Settings) -> str:
    """The path of a program that may be run.

    Raises:
        UsageError: there is none.
        AccessDenied: `settings.programs` does not list it.
    """
    allowed = [one for one in settings.programs.split(":") if one]
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"connection {name!r}: no program {program!r}", hint="give its whole path in extra.command")
    if allowed and program not in allowed and found not in allowed:
        raise AccessDenied(
            f"connection {name!r}: the program {program!r} is not among those that may be run",
            hint="add it to WORKBENCH_PROGRAMS (colon separated)",
        )
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole session to stop, then make it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        deadline = time.monotonic() + _GRACE
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if number == signal.SIGTERM and process.poll() is None:
            continue
    process.wait()
