"""pyiceberg's files through the place a shelf is in: a folder, or whatever a connection reaches with its own keys.

pyiceberg makes this class itself, by its name, so the place is found by the address that its properties name.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from pyiceberg.io import (  # noqa: TID253  # this file is for pyiceberg, which imports it
    FileIO,
    InputFile,
    InputStream,
    OutputFile,
    OutputStream,
)

from data_workbench.artifacts.places import Place

ADDRESS: Final = "workbench.address"
_PLACES: Final[dict[str, Place]] = {}


@contextmanager
def reached(place: Place, address: str) -> Iterator[dict[str, str]]:
    """Let pyiceberg reach a place while the block runs; the properties that say so.

    Args:
        address: what the locations of its files begin with.
    """
    _PLACES[address] = place
    try:
        yield {"py-io-impl": f"{__name__}.{PlaceIO.__name__}", ADDRESS: address}
    finally:
        del _PLACES[address]


class PlaceIO(FileIO):
    """Files of one place."""

    def __init__(self, properties: dict[str, str]) -> None:
        super().__init__(properties)
        self._address = properties[ADDRESS]

    def new_input(self, location: str) -> PlaceFile:
        """A file that is read."""
        return PlaceFile(location, self._address)

    def new_output(self, location: str) -> PlaceFile:
        """A file that is written."""
        return PlaceFile(location, self._address)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Remove a file."""
        where = location if isinstance(location, str) else location.location
        _PLACES[self._address].remove_file(_path(where, self._address))


class PlaceFile(InputFile, OutputFile):
    """One file; it is published when its stream is closed, as a whole or not at all."""

    def __init__(self, location: str, address: str) -> None:
        super().__init__(location)
        self._place, self._path = _PLACES[address], _path(location, address)

    def __len__(self) -> int:
        size = self._place.size(self._path)
        if size is None:
            raise FileNotFoundError(self.location)
        return size

    def exists(self) -> bool:
        """Whether it is there."""
        return self._place.size(self._path) is not None

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002  # pyiceberg's signature
        """Read it."""
        return cast("InputStream", self._place.open(self._path))

    def create(self, overwrite: bool = False) -> OutputStream:  # pyiceberg's signature
        """Write it. Raises FileExistsError."""
        if not overwrite and self.exists():
            raise FileExistsError(self.location)
        return cast("OutputStream", _Written(self._place, self._path))

    def to_input_file(self) -> PlaceFile:
        """The same file, to be read."""
        return self


class _Written(io.BytesIO):
    def __init__(self, place: Place, path: str) -> None:
        super().__init__()
        self._place, self._path = place, path

    def __exit__(self, *raised: Any) -> None:
        if raised[0] is None:
            self._place.publish(self._path, self.getvalue())
        super().close()

    def close(self) -> None:
        """Publish what was written, once."""
        if not self.closed:
            self._place.publish(self._path, self.getvalue())
        super().close()


def _path(location: str, address: str) -> str:
    if not location.startswith(f"{address}/"):
        raise FileNotFoundError(f"{location} is not in {address}")
    return location.removeprefix(f"{address}/")
