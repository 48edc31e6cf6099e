"""A folder of part files with a manifest that names the current ones: the switch of a replace or a merge.

Readers of the workbench follow `_manifest.json`; a folder without one holds the files of known formats that lie in it.
Other readers see part files as they come and go: new ones appear just before the switch, old ones vanish right after.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.files.failures import translated
from data_workbench.connectors.files.formats.table import is_known
from data_workbench.connectors.files.publication import switch
from data_workbench.errors import StateError
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    from data_workbench.connectors.files.client import Root
    from data_workbench.mapping.targets import LoadContext

MANIFEST = "_manifest.json"


@dataclass
class Manifest:
    """Which parts are current, which pipeline wrote each, and the load that came last."""

    parts: list[str] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    load: dict[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    """The file as it was read; None if there is none yet."""

    @property
    def foreign(self) -> list[str]:
        """Parts that the workbench did not write."""
        return [part for part in self.parts if part not in self.owners]

    def keeping(self, parts: Collection[str]) -> Manifest:
        """Only these parts, with their owners."""
        kept = [part for part in self.parts if part in parts]
        owners = {part: owner for part, owner in self.owners.items() if part in kept}
        return Manifest(kept, owners, content=self.content)

    def counts_of(self, context: LoadContext) -> WriteCounts | None:
        """The counts of this very load, if it was the last one published."""
        if self.load.get("id") != load_id(context):
            return None
        return WriteCounts.from_dict(self.load["counts"])


def load_id(context: LoadContext) -> str:
    """Tells this load of this run from all others; the same after a restart."""
    identity = [context.pipeline, context.destination, context.run_id, context.target_index]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]


def part_name(context: LoadContext, index: int, ending: str) -> str:
    """A name that is the same when a killed load writes the part again."""
    run = re.sub(r"[^A-Za-z0-9-]+", "-", context.run_id)[:60].strip("-") or "run"
    return f"part-{run}-{load_id(context)}-{index:05d}.{ending}"


def read_manifest(root: Root, folder: str) -> Manifest | None:
    """The manifest of a folder, if it has one.

    Raises:
        StateError: it is damaged.
    """
    path = posixpath.join(folder, MANIFEST)
    if not root.exists(path):
        return None
    with root.open_read(path) as handle, translated(path):
        raw = handle.read()
    try:
        values = json.loads(raw)
        return Manifest(list(values["parts"]), dict(values.get("owners", {})), dict(values.get("load", {})), raw)
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"{path} is damaged", hint="restore it from a backup, or remove it: all files then count as current"
        ) from error


def write_manifest(root: Root, folder: str, manifest: Manifest, context: LoadContext, counts: WriteCounts) -> None:
    """Switch to the manifest's parts, noting the load that made them.

    Raises:
        StoreBusy: another load has switched since the manifest was read.
    """
    load = {
        "id": load_id(context),
        "pipeline": context.pipeline,
        "run": context.run_id,
        "counts": counts.as_dict(),
    }
    _write(root, folder, manifest, load, context)


def first_manifest(root: Root, folder: str, standing: Manifest, context: LoadContext) -> Manifest:
    """Note what stands in a folder that had no manifest, before a new part is seen there.

    Without it a load that is killed before its switch would leave a part that counts as one of the folder's files.

    Raises:
        StoreBusy: another load has done so in the meantime.
    """
    content = _write(root, folder, standing, {}, context)
    return Manifest(standing.parts, standing.owners, content=content)


def _write(root: Root, folder: str, manifest: Manifest, load: dict[str, Any], context: LoadContext) -> bytes:
    values = {"version": 1, "parts": manifest.parts, "owners": manifest.owners, "load": load}
    content = json.dumps(values, indent=1).encode()
    switch(root, posixpath.join(folder, MANIFEST), content, load_id(context), manifest.content)
    return content


def current_parts(root: Root, folder: str) -> list[str]:
    """The part files that make up a folder now, as paths below the root."""
    manifest = read_manifest(root, folder)
    if manifest is not None:
        return [posixpath.join(folder, part) for part in manifest.parts]
    found = root.glob(posixpath.join(folder, "*"))
    return [path for path in found if is_known(path)]
