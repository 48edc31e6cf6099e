"""Files of secret keys: made once, whole or not at all, readable by their owner alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def keep_once(place: Path, content: bytes) -> bool:
    """Put a key into its place, unless one stands there: then that one counts, and nothing is changed.

    Nobody meets half a key, and a process killed on the way leaves none: a second one would open nothing of the first.

    Returns:
        Whether this content stands there now.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        _link(Path(name), place)
    except FileExistsError:
        return False
    finally:
        Path(name).unlink()
    return True


def _link(made: Path, place: Path) -> None:
    try:
        place.hardlink_to(made)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, as network shares are: there it is not whole at once
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(made.read_bytes())
