"""The file in a place's root that tells the place from others, made before anything is put there."""

from __future__ import annotations

import json
import uuid
from functools import cached_property

from data_workbench.artifacts.places import Place
from data_workbench.connectors.files.failures import translated
from data_workbench.errors import StateError, Unsupported

_FORMAT = 1


class Identity:
    """Of a repository, a shelf, or whatever keeps things that must not be mixed up with another's.

    Args:
        file: the name of the file.
        what: what the place is, for messages: `repository of backups`.
        word: what the manifests in it call its id.
        folder: where they are, which tells a place that has lost the file from a new one.
        made_by: the command that makes one.
    """

    def __init__(self, place: Place, file: str, *, what: str, word: str, folder: str, made_by: str) -> None:
        self._place, self._file = place, file
        self._what, self._word, self._folder, self._made_by = what, word, folder, made_by

    @cached_property
    def id(self) -> str:
        """The id.

        Raises:
            StateError: there is none, or its file is damaged.
            Unsupported: a newer version of the workbench made it.
        """
        content = self._read()
        if content is None:
            raise StateError(f"{self._place.root} is no {self._what}", hint=f"{self._made_by} makes it")
        try:
            about = json.loads(content)
            if int(about["format"]) > _FORMAT:
                raise Unsupported(
                    f"{self._place.root} has format {about['format']}, this version knows {_FORMAT}",
                    hint="install the version of the workbench that made it",
                )
            return str(uuid.UUID(about["id"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(
                f"{self._place.root}/{self._file} is damaged ({type(error).__name__})", hint=self._anew
            ) from None

    def prepare(self) -> None:
        """Make it unless it is there. Raises as `id`, and StateError where the place holds things but no id."""
        if self._read() is not None:
            _ = self.id
            return
        if self._place.folders(self._folder):
            raise StateError(f"{self._place.root} holds {self._folder} but its {self._file} is lost", hint=self._anew)
        content = json.dumps({"format": _FORMAT, "id": str(uuid.uuid4())}).encode()
        with translated(f"the {self._what} {self._place.address(self._file)}"):
            self._place.publish(self._file, content)

    def _read(self) -> bytes | None:
        with translated(f"the {self._what} {self._place.address(self._file)}"):
            return self._place.read(self._file)

    @property
    def _anew(self) -> str:
        return f'write it anew with the `{self._word}` of any manifest: {{"format": 1, "id": "…"}}'
