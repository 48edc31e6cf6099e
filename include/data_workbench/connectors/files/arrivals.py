"""Looking at a pattern again and again: which files are new or changed, and are not being written any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.files.changes import Changes
from data_workbench.connectors.files.client import Root
from data_workbench.connectors.files.streams import Place, files_of
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings


class Arrivals:
    """Tells a file once, when two looks in a row find it alike: a writer that is still at it changes size or time.

    Args:
        pattern: a path or a pattern below the connection's root.
        state: `position()` after an earlier look, perhaps in another process; None tells every file that is there.
    """

    def __init__(self, pattern: str, state: Mapping[str, Any] | None = None) -> None:
        self._pattern = pattern
        self._state = state
        self._seen: dict[str, str] = {}
        """Path and version of what the look before found new."""

    def look(self, connection: Connection, settings: Settings) -> list[str]:
        """Files that have arrived since the look before, by path.

        Raises:
            UsageError: the connection is of another type.
            WorkbenchError: the store is away, or refuses.
        """
        if connection.kind != "workbench_files":
            raise UsageError(
                f"connection {connection.id!r} is of type {connection.kind!r}: it holds no files to watch",
                hint="name one of type workbench_files in the schedule's connection",
            )
        root = Root(connection, settings)
        changes = Changes(root, "auto", self._state, None)
        fresh = changes.fresh([Place(path) for path in files_of(root, self._pattern)])
        found = {place.path: changes.version(place.path).mark for place in fresh}
        arrived = [path for path, mark in found.items() if self._seen.get(path) == mark]
        self._seen = found
        for path in arrived:
            changes.note(path)
        self._state = changes.position()
        return arrived

    def position(self) -> dict[str, Any] | None:
        """What is known, as JSON; of files that are gone nothing, so one that comes back arrives again."""
        return dict(self._state) if self._state is not None else None
