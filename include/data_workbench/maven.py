"""Java archives from Maven's central repository, resolved by jgo in pure Python and kept in the cache.

A set is downloaded beside its place and renamed into it when complete, so that a killed download is never
taken for a finished one. Once there, nothing asks the network again.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from data_workbench.errors import FatalError, StoreUnavailable

if TYPE_CHECKING:
    from jgo.maven import Artifact, MavenContext

log = logging.getLogger(__name__)

Say = Callable[[str], None]
"""Told in words how a download gets on."""

_DOWNLOADS_AT_ONCE = 6
_EVERY = 25


def fetch_jar(coordinate: str, *, cache: Path, say: Say = log.info) -> Path:
    """One artifact `group:name:version`, without what it depends on.

    Raises:
        StoreUnavailable: it is not cached and the repository is out of reach.
    """
    folder = _folder(cache, coordinate, "jar")
    if not folder.is_dir():
        say(f"downloading {coordinate}")
        with _staging(cache) as staging, _translated(coordinate):
            context = _context(staging / "repository")
            _publish([_artifact(context, coordinate)], staging, folder)
    return next(folder.glob("*.jar"))


def fetch_classpath(coordinate: str, *, cache: Path, say: Say = log.info) -> list[Path]:
    """Artifacts, joined by `+`, and everything they need at run time, in a stable order.

    Raises:
        StoreUnavailable: it is not cached and the repository is out of reach.
    """
    folder = _folder(cache, coordinate, "classpath")
    if not folder.is_dir():
        say(f"resolving {coordinate} (about a minute, the first time only)")
        with _staging(cache) as staging, _translated(coordinate):
            context = _context(staging / "repository")
            artifacts = _resolve(context, coordinate)
            _download(artifacts, say)
            _publish(artifacts, staging, folder)
    return sorted(folder.glob("*.jar"))


def is_cached(coordinate: str, *, cache: Path, classpath: bool = False) -> bool:
    """Whether the artifact can be had without a network."""
    return _folder(cache, coordinate, "classpath" if classpath else "jar").is_dir()


def _folder(cache: Path, coordinate: str, kind: str) -> Path:
    return cache / "maven" / kind / coordinate.replace(":", "_")


@contextmanager
def _staging(cache: Path) -> Iterator[Path]:
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="download-", dir=cache))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _translated(coordinate: str) -> Iterator[None]:
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise StoreUnavailable(
            f"{coordinate} is not cached and Maven's central repository cannot be reached ({type(error).__name__})",
            hint="connect once, or copy another installation's cache and point WORKBENCH_CACHE at it",
        ) from error
    except RuntimeError as error:
        # jgo's only exception for "no repository has it" and for a checksum that does not fit.
        raise FatalError(
            f"{coordinate} cannot be downloaded: {error}", hint="try again; else check the proxy"
        ) from error


def _context(repository: Path) -> MavenContext:
    from jgo.maven import MavenContext

    # Its own repository: jgo takes any file it finds in a shared one for complete.
    return MavenContext(repo_cache=repository, timeout=30)


def _artifact(context: MavenContext, coordinate: str) -> Artifact:
    group, name, version = coordinate.split(":")
    return context.project(group, name).at_version(version).artifact()


def _resolve(context: MavenContext, coordinate: str) -> list[Artifact]:
    from jgo.parse import Endpoint

    wanted = [replace(one, scope="compile") for one in Endpoint.parse(coordinate).coordinates]
    inputs, transitive = context.resolver.resolve([context.create_dependency(one) for one in wanted])
    needed = [*inputs, *(dependency for dependency in transitive if dependency.scope in ("compile", "runtime"))]
    return [dependency.artifact for dependency in needed]


def _download(artifacts: list[Artifact], say: Say) -> None:
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        for number, _ in enumerate(pool.map(lambda artifact: artifact.resolve(), artifacts), start=1):
            if number % _EVERY == 0 or number == len(artifacts):
                say(f"downloaded {number} of {len(artifacts)} jars")


def _publish(artifacts: list[Artifact], staging: Path, folder: Path) -> None:
    complete = staging / "complete"
    complete.mkdir()
    for artifact in artifacts:
        path = artifact.resolve()
        # Groups have artifacts of the same name (org.neo4j and org.neo4j.app).
        os.link(path, complete / f"{artifact.groupId}.{path.name}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        complete.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        # Another process was quicker; its set is the same.
    log.info("cached %s jars in %s", len(artifacts), folder)
