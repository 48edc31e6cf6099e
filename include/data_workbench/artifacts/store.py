"""The artifact store: where artifacts begin, are found again and are cleaned away."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from data_workbench.artifacts.encoder import Limits
from data_workbench.artifacts.manifest import Manifest
from data_workbench.artifacts.places import Place, place_of
from data_workbench.artifacts.writer import ArtifactWriter
from data_workbench.errors import ResourceExhausted, StateError, UsageError
from data_workbench.settings import Settings

# Airflow's run ids look like `manual__2026-11-23T15:53:00+00:00`. No slash, no leading dot: no way out of the root.
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+@=-]{0,199}")


class StoredRun(NamedTuple):
    """A run that has files here."""

    pipeline: str
    run_id: str


class ArtifactStore:
    """All artifacts below `settings.artifact_url`."""

    def __init__(self, settings: Settings, *, place: Place | None = None) -> None:
        self._settings = settings
        self.place = place or place_of(settings.artifact_url)

    def begin(self, pipeline: str, run_id: str, name: str, schema: pa.Schema) -> ArtifactWriter:
        """Start an artifact; an unfinished one of the same name is thrown away.

        Raises:
            StateError: a finished one is there, which never changes (`find` it instead).
            ResourceExhausted: less than `settings.min_free_disk` is free.
        """
        folder = _folder(pipeline, run_id, name)
        if self.place.size(f"{folder}/manifest.json") is not None:
            raise StateError(
                f"artifact {self.place.address(folder)} is finished and never changes",
                hint="find() it; a new run makes its own",
                run_id=run_id,
            )
        self.check_room()
        self.place.remove(folder)
        token = secrets.token_hex(16)
        with self.place.create(f"{folder}/writer") as stream:
            stream.write(token.encode())
        draft = Manifest(pipeline, run_id, name, (), schema, self.place)
        settings = self._settings
        limits = Limits(
            settings.part_rows,
            min(settings.batch_rows, settings.part_rows),
            settings.batch_bytes,
            settings.artifact_compression,
            settings.duckdb_threads,
        )
        return ArtifactWriter(draft, token, limits, self.check_room)

    def find(self, pipeline: str, run_id: str, name: str) -> Manifest | None:
        """The finished artifact, or None if there is none.

        Raises:
            StateError: its manifest is damaged, or a part is gone or has another size.
        """
        folder = _folder(pipeline, run_id, name)
        text = self.place.read(f"{folder}/manifest.json")
        if text is None:
            return None
        manifest = Manifest.from_json(text, self.place)
        if manifest.folder != folder:
            raise StateError(f"the manifest in {self.place.address(folder)} is of {manifest.folder}", run_id=run_id)
        for part in manifest.parts:
            size = self.place.size(manifest.path_of(part))
            if size != part.bytes:
                raise StateError(
                    f"the staged file {self.place.address(manifest.path_of(part))} has {size or 'no'} bytes, "
                    f"not {part.bytes}",
                    hint="start a new run of this pipeline, and check the disk if nobody touched the file",
                    run_id=run_id,
                )
        return manifest

    def remove(self, pipeline: str, run_id: str, name: str) -> None:
        """Remove one artifact, finished or not: a group made together is made again together."""
        self.place.remove(_folder(pipeline, run_id, name))

    def local_files(self, manifest: Manifest, folder: Path) -> list[Path]:
        """An artifact's parts as verified files of this machine: themselves, or copies in a folder if they are remote.

        Raises:
            StateError: a part is gone or damaged.
            ResourceExhausted: with the next copy, less than `settings.min_free_disk` would stay free beside it.
        """
        found = manifest.local_paths()
        if found is not None:
            manifest.verify()
            return found
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        copies = []
        for part in manifest.parts:
            free = shutil.disk_usage(folder).free
            if free - part.bytes < self._settings.min_free_disk:
                raise ResourceExhausted(
                    f"{folder} has {_mib(free)} MiB free, too few for a copy of {manifest.address}/{part.file} "
                    f"({_mib(part.bytes)} MiB) beside the {_mib(self._settings.min_free_disk)} MiB that stay free",
                    hint="free space, set WORKBENCH_HOME to a larger disk, or lower WORKBENCH_MIN_FREE_DISK",
                    run_id=manifest.run_id,
                )
            copies.append(manifest.copy_part(part, folder))
        return copies

    def check_room(self) -> None:
        """Refuse to go on when the disk is nearly full.

        Raises:
            ResourceExhausted: with what is free and what is wanted.
        """
        free = self.place.free()
        wanted = self._settings.min_free_disk
        if free is not None and free < wanted:
            raise ResourceExhausted(
                f"the artifact store {self.place.root} has {_mib(free)} MiB free, "
                f"a run wants {_mib(wanted)} MiB to stay free",
                hint="free space, set WORKBENCH_ARTIFACTS to a larger disk, or lower WORKBENCH_MIN_FREE_DISK",
            )

    def stored_runs(self) -> list[StoredRun]:
        """Runs that have files here; the metastore knows which of them are finished."""
        return [
            StoredRun(pipeline, run_id)
            for pipeline in self.place.folders("")
            for run_id in self.place.folders(pipeline)
            if _SAFE.fullmatch(pipeline) and _SAFE.fullmatch(run_id)
        ]

    def clean(self, finished: Mapping[StoredRun, datetime], *, now: datetime) -> list[StoredRun]:
        """Remove the files of runs that ended longer ago than the retention.

        Args:
            finished: finished runs with the time each ended. A run that is not in it is never touched, so an
                unfinished one keeps what it needs to go on.
            now: the time the retention is counted back from.

        Returns:
            The runs whose files were removed.
        """
        limit = now - timedelta(days=self._settings.artifact_retention_days)
        old = [run for run in self.stored_runs() if run in finished and finished[run] < limit]
        for run in old:
            self.discard(run)
        return old

    def discard(self, run: StoredRun) -> None:
        """Remove all files of a run."""
        self.place.remove(f"{_word(run.pipeline, 'pipeline')}/{_word(run.run_id, 'run id')}")


def _folder(pipeline: str, run_id: str, name: str) -> str:
    return f"{_word(pipeline, 'pipeline')}/{_word(run_id, 'run id')}/{_word(name, 'artifact name')}"


def _word(value: str, what: str) -> str:
    """The value, if it can be the name of one folder."""
    if not _SAFE.fullmatch(value) or ".." in value:
        raise UsageError(
            f"{what} {value[:80]!r} cannot name a folder",
            hint="use letters, digits and _ . : + @ = - only, at most 200, beginning with a letter, digit or _",
        )
    return value


def _mib(size: int) -> int:
    return size // 1024**2
