"""Content on its way to a path: it becomes visible as a whole, or not at all."""

from __future__ import annotations

import fcntl
import os
import posixpath
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from data_workbench.connectors.files.failures import translated
from data_workbench.errors import StoreBusy

if TYPE_CHECKING:
    from data_workbench.connectors.files.client import Root


class Publication:
    """Write to `handle`, `seal` it, `publish` it; `discard` is safe at any time.

    rename: a hidden file beside the path is renamed over it; its name depends on the token alone, so a writer that
    starts again takes up its own remains. commit: the upload is finished by `publish`, and only then an object is seen.
    close: closing the handle finishes the upload, so `publish` does that.
    """

    def __init__(self, root: Root, path: str, token: str) -> None:
        root.check_writable()
        root.make_parents(path)
        self.path, self._root = path, root
        self._how = root.config.driver.publishes
        self._full = root.full(path)
        self._place = root.local(path)
        self._published = False
        folder, name = posixpath.split(self._full)
        self._hidden = posixpath.join(folder, f".{name}.{token}.tmp")
        with translated(path):
            if self._place is not None:
                self.hidden = Path(self._hidden)
                self.hidden.unlink(missing_ok=True)
                self.handle: IO[bytes] = self.hidden.open("wb")
            elif self._how == "rename":
                self.handle = root.filesystem.open(self._hidden, "wb")
            else:
                options = {"autocommit": False} if self._how == "commit" else {}
                self.handle = root.filesystem.open(self._full, "wb", **options)

    def adopt(self, staged: Path) -> bool:
        """Take a finished file instead of content: by link where the file system allows, else by copy.

        Returns False where the store is not this machine's.
        """
        if self._place is None:
            return False
        self.handle.close()
        with translated(self.path):
            self.hidden.unlink()
            try:
                os.link(staged, self.hidden)
            except OSError:  # another device, or no links here
                shutil.copyfile(staged, self.hidden)
            # Staged files are private; what is published follows the umask.
            self.hidden.chmod(0o666 & ~_umask())
            self.seal()
        return True

    def seal(self) -> None:
        """Finish writing; the content is durable after this, or with `publish` where closing publishes."""
        with translated(self.path):
            if self._how != "close" and not self.handle.closed:
                if self._place is not None:
                    self.handle.flush()
                    os.fsync(self.handle.fileno())
                self.handle.close()

    def publish(self) -> None:
        """Let it be seen."""
        with translated(self.path):
            if self._place is not None:
                self.hidden.replace(self._place)
                sync_folder(self._place.parent)
            elif self._how == "rename":
                self._root.filesystem.mv(self._hidden, self._full)
            elif self._how == "commit":
                self.handle.commit()  # type: ignore[attr-defined]  # fsspec's own files have it
            else:
                self.handle.close()
        self._published = True

    def discard(self) -> None:
        """Forget what was not published."""
        if self._published:
            return
        if self._place is not None:
            self.handle.close()
            self.hidden.unlink(missing_ok=True)
        elif self._how == "rename":
            with translated(self.path):
                self.handle.close()
                self._root.remove_full(self._hidden)
        else:
            self._abort()

    def _abort(self) -> None:
        handle: Any = self.handle
        with translated(self.path):
            if hasattr(handle, "discard"):
                handle.discard()
        # A handle that is not closed closes itself when it is forgotten, and that would publish.
        handle.closed = True
        self._published = True


def switch(root: Root, path: str, content: bytes, token: str, before: bytes | None) -> None:
    """Replace a small file as a whole, if it still is what it was.

    Args:
        before: its content as it was read; None if it was not there.

    Raises:
        StoreBusy: somebody else has changed it since.
    """
    root.check_writable()
    root.make_parents(path)
    with _alone(root, path):
        standing, tag = _content(root, path)
        if standing != before:
            raise _changed(path)
        if root.config.driver.name == "s3":
            _put_if(root, path, content, tag)
            return
        publication = Publication(root, path, token)
        try:
            publication.handle.write(content)
            publication.seal()
            publication.publish()
        finally:
            publication.discard()


def _content(root: Root, path: str) -> tuple[bytes | None, str | None]:
    if not root.exists(path):
        return None, None
    tag = root.facts(path).tag
    with root.open_read(path) as handle, translated(path):
        return handle.read(), tag


@contextmanager
def _alone(root: Root, path: str) -> Iterator[None]:
    """On this machine one writer at a time passes here; elsewhere the store's condition decides, if it has one."""
    place = root.local(path)
    if place is None:
        yield
        return
    descriptor = os.open(place.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _put_if(root: Root, path: str, content: bytes, tag: str | None) -> None:
    """Write an object on condition that it is still the one that was read; S3 checks and writes at once."""
    bucket, key, _ = root.filesystem.split_path(root.full(path))
    condition = {"IfMatch": f'"{tag}"'} if tag is not None else {"IfNoneMatch": "*"}
    put = {"Bucket": bucket, "Key": key, "Body": content}
    try:
        root.filesystem.call_s3("put_object", **put, **condition)
    except Exception as error:
        code = _code(error)
        if code in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise _changed(path) from error
        if code != "NotImplemented":
            with translated(path):
                raise
        with translated(path):  # a server without conditions: the content was compared a moment ago
            root.filesystem.call_s3("put_object", **put)


def _code(error: BaseException) -> str:
    """S3's word for what is wrong, wherever the driver has put it."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        seen = seen.__cause__ or seen.__context__
    return "PreconditionFailed" if "pre-condition" in str(error).lower() else ""


def _changed(path: str) -> StoreBusy:
    return StoreBusy(
        f"{path} was changed by another writer in the meantime",
        hint="run again: both loads then stand beside each other",
    )


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current
