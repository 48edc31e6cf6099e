"""The program `pgbackrest` on this machine: backups it has of a stanza, a new one, one brought back, its archive.

Its configuration, its repository and the server's `archive_command` belong to the server's owner; nothing of them is
changed here, and none of its backups is removed. https://pgbackrest.org/command.html
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from data_workbench.errors import (
    AccessDenied,
    FatalError,
    StateError,
    StoreBusy,
    StoreUnavailable,
    Unsupported,
    UsageError,
    WorkbenchError,
)
from data_workbench.servers.account import Account

ENGINE: Final = "pgbackrest"
"""In the details of a cluster that is kept by this program instead of in the set."""
TYPES: Final = ("full", "diff", "incr")
_MADE = re.compile(r"new backup label = (\S+)")
_FAILED = re.compile(r"ERROR: \[(\d{3})\]: (.*)")
_JUDGED = re.compile(r"^\s*backup: (\S+), status: ([^,\n]+)", re.MULTILINE)
_SEGMENT = re.compile(r"[^/]+/(?:[0-9A-F]{16}/([0-9A-F]{24})-[0-9a-f]{40}\S*|([0-9A-F]{8}\.history))")
_BUSY, _NO_SERVER, _CLOSED = {50}, {56, 57}, {41, 42, 47}
_ARCHIVING = {55, 68, 82, 87}
"""No stanza, no archive_command with pgbackrest in it, a segment that does not arrive, archive_mode off."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Range(_Model):
    start: str
    stop: str


class _Database(_Model):
    id: int


class Backup(_Model):
    """One backup, as `info --output=json` tells it; `error` says that the server had pages with wrong checksums."""

    label: str
    type: str
    archive: _Range
    lsn: _Range
    database: _Database
    error: bool | None = None
    info: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes of the cluster."""
        return int(self.info.get("size", 0))

    @property
    def added(self) -> int:
        """Bytes it added to the repository."""
        return int(self.info.get("repository", {}).get("delta", 0))


@dataclass(frozen=True)
class Stanza:
    """What the program knows of a stanza: backups by label, archives and system identifiers by database id."""

    backups: dict[str, Backup]
    archives: dict[int, str]
    systems: dict[int, str]


@dataclass(frozen=True)
class PgBackRest:
    """A stanza on this machine. `account`: whom `backup` and `check` run as, since they log in at the server."""

    stanza: str
    account: Account | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", self.stanza):
            raise UsageError(
                f"{self.stanza[:40]!r} is no stanza of pgBackRest", hint="such as WORKBENCH_PGBACKREST=odras"
            )

    def info(self) -> Stanza:
        """What there is.

        Raises:
            StateError: the stanza was never created, or its repository cannot be read.
        """
        told = json.loads(self._run("info", "--output=json"))
        found = next((one for one in told if one.get("name") == self.stanza), None)
        if found is None or not found.get("db"):
            why = (found or {}).get("status", {}).get("message", "unknown")
            raise StateError(
                f"pgBackRest knows nothing of stanza {self.stanza!r}: {why}",
                hint=f"is its configuration here? Then: pgbackrest --stanza={self.stanza} stanza-create",
            )
        try:
            backups = [Backup.model_validate(one) for one in found["backup"]]
        except ValidationError as error:
            raise Unsupported(f"this pgBackRest tells a backup otherwise: {error.errors()[0]['loc']}") from None
        return Stanza(
            {one.label: one for one in backups},
            {int(one["database"]["id"]): str(one["id"]) for one in found["archive"]},
            {int(one["id"]): str(one["system-id"]) for one in found["db"]},
        )

    def check(self) -> None:
        """Have the server finish a segment, and see it arrive in the archive.

        Raises:
            StateError: it does not arrive: archiving is not set up.
        """
        self._run("check", as_owner=True)

    def backup(self, kind: str) -> str:
        """Make one; its label. The first of a stanza is full whatever was asked for."""
        said = self._run("backup", f"--type={kind}", "--log-level-console=info", as_owner=True)
        made = _MADE.search(said)
        if made is None:
            raise StateError("pgBackRest told no label of the backup it made", hint="look at its log")
        return made[1]

    def restore(self, label: str, folder: Path) -> None:
        """A backup's files in an empty folder; each is held against its checksum. Whoever starts it plays the log.

        Raises:
            StateError: it has expired, or is damaged.
        """
        options = [f"--set={label}", "--type=none", f"--pg1-path={folder}", f"--lock-path={folder.parent / 'lock'}"]
        try:
            self._run("restore", *options)
        except FatalError as error:
            raise StateError(
                f"pgBackRest cannot restore {label} of stanza {self.stanza!r}: {error.message}",
                hint="take another set: workbench backup list",
            ) from None

    def segments(self, archive: str) -> dict[str, str]:
        """Finished segments and histories in an archive such as `15-1`, by name."""
        told = json.loads(self._run("repo-ls", "--recurse", "--output=json", f"archive/{self.stanza}", stanza=False))
        found = {}
        for path in told:
            matched = _SEGMENT.fullmatch(path)
            if matched and path.startswith(f"{archive}/"):
                found[matched[1] or matched[2]] = path
        return found

    def fetch(self, segment: str, place: Path, data: Path) -> None:
        """One segment of the archive into a file; `data` is a restored folder, by which it knows the server."""
        self._run("archive-get", "--no-archive-async", f"--pg1-path={data}", segment, str(place))

    def judged(self) -> dict[str, str]:
        """Each backup's status after all its files were read: `valid`, or what is wrong (`pgbackrest verify`)."""
        return {
            label: status.strip()
            for label, status in _JUDGED.findall(self._run("verify", "--output=text", "--verbose"))
        }

    def _run(self, command: str, *options: str, as_owner: bool = False, stanza: bool = True) -> str:
        program = shutil.which("pgbackrest")
        if program is None:
            raise Unsupported(
                "there is no program pgbackrest on this machine", hint="install it: apt-get install pgbackrest"
            )
        settings = ["--log-level-stderr=error", "--no-log-timestamp"]
        if not any(one.startswith("--log-level-console") for one in options):
            settings.append("--log-level-console=off")
        # A log file of another user would stand in the way of the server's own archiving.
        settings += [] if as_owner else ["--log-level-file=off"]
        names = [f"--stanza={self.stanza}"] if stanza else []
        account = self.account if as_owner else None
        who: dict[str, Any] = account.popen_options() if account else {}
        done = subprocess.run(
            [program, *names, *settings, command, *options],
            cwd="/",
            env=_surroundings(account),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            **who,
        )
        if done.returncode != 0:
            raise _meaning(command, done.returncode, done.stderr or done.stdout)
        return done.stdout


def owner_of(data: str) -> Account | None:
    """The owner of a server's data, if the caller is root; None when nothing has to be dropped.

    Raises:
        StateError: the data is not on this machine.
    """
    if os.geteuid() != 0:
        return None
    try:
        user = pwd.getpwuid(Path(data).stat().st_uid)
    except (OSError, KeyError) as error:
        raise StateError(
            f"the server's data in {data} cannot be reached from here ({error})",
            hint="pgBackRest works beside the server's disk: run the workbench there, or empty WORKBENCH_PGBACKREST",
        ) from None
    return Account(name=user.pw_name, uid=user.pw_uid, gid=user.pw_gid)


def _surroundings(account: Account | None) -> dict[str, str]:
    """Variables of the program: none of libpq's, which would lead it to another server."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "WORKBENCH_", "AIRFLOW")) or name.startswith("PGBACKREST_")
    }
    home = {"HOME": pwd.getpwuid(account.uid).pw_dir} if account else {}
    return {**kept, **home, "LC_ALL": "C.UTF-8"}


def _meaning(command: str, code: int, said: str) -> WorkbenchError:
    failed = _FAILED.search(said)
    number = int(failed[1]) if failed else code
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = failed[2].strip() if failed else (lines[-1] if lines else f"exit code {code}")
    hints = [line.removeprefix("HINT: ") for line in lines if line.startswith("HINT: ")]
    text, hint = f"pgbackrest {command} failed: {told[:400]}", "; ".join(hints)[:400]
    if number in _BUSY:
        return StoreBusy(text, hint=hint or "another of its commands runs")
    if number in _ARCHIVING and command == "check":
        theirs = "archive_mode and archive_command are the server owner's to set"
        return StateError(text, hint=f"{theirs}: archive_command = 'pgbackrest --stanza=… archive-push %p'")
    if number in _NO_SERVER:
        return StoreUnavailable(text, hint=hint or "may its user log in over the socket?")
    if number in _CLOSED:
        return AccessDenied(text, hint=hint or "run the workbench as the owner of pgBackRest's repository, or as root")
    return FatalError(text, hint=hint or None)
