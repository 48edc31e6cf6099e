"""The manifest of a set: what makes chunks a backup. It is written last, and tells every byte it stands for.

It is not encrypted: sets are listed, thinned out and checked for damage without the identity. It names streams and
counts, never values.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from data_workbench.errors import StateError, Unsupported

FORMAT: Final = 1
PRODUCT: Final = "odras-data-workbench"
LARGEST: Final = 512 * 1024**2
DEFINITIONS: Final = "definitions"
"""The store of pipelines, project file and configuration."""
_SET = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_HASH = r"^[0-9a-f]{64}$"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ChunkFacts(_Model):
    """A chunk as it lies in the repository: hash and size of the encrypted file, and size of the content."""

    sha256: str = Field(pattern=_HASH)
    stored: int = Field(ge=0)
    size: int = Field(ge=0)


class StoredFile(_Model):
    """One file of a store, in the order of its chunks; `path` is relative and leads nowhere else."""

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=_HASH)
    chunks: tuple[str, ...]

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        parts = path.split("/")
        if not path or "\\" in path or "\0" in path or ":" in path or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{path!r} leads out of the set")
        return path

    @field_validator("chunks")
    @classmethod
    def _hashes(cls, chunks: tuple[str, ...]) -> tuple[str, ...]:
        for one in chunks:
            if not re.fullmatch(r"[0-9a-f]{64}", one):
                raise ValueError(f"{one[:80]!r} is no name of a chunk")
        return chunks


class Content(_Model):
    """What a stream held: rows, nodes, relationships or points, and an order-independent fingerprint of them."""

    count: int
    fingerprint: str


StoreKind = Literal["postgres", "neo4j", "qdrant", "workbench_files", "workbench_rdf", "definitions", "cluster"]


class StoredStore(_Model):
    """One store in a set.

    `moved` says that it was written to while it was exported: what it holds is as of a moment after the recovery
    point. `details` belong to its kind.
    """

    kind: StoreKind
    connection: str
    version: str | None = None
    moved: bool = False
    seconds: float = 0.0
    streams: dict[str, Content] = Field(default_factory=dict)
    files: tuple[StoredFile, ...] = ()
    details: dict[str, Any] = Field(default_factory=dict)

    def file(self, path: str) -> StoredFile:
        """A file by its path. Raises StateError if the set lacks it."""
        found = next((one for one in self.files if one.path == path), None)
        if found is None:
            raise StateError(f"the set has no file {path!r} of {self.connection!r}", hint="workbench backup verify SET")
        return found


class RecoveryPoint(_Model):
    """The moment all stores stand for. `fence_ms`: how long pipelines were held; `running` could not be waited for."""

    at: datetime
    fence_ms: float
    quiet: bool
    running: tuple[str, ...] = ()
    marks: dict[str, Any] = Field(default_factory=dict)
    journal: int | None = None
    """The newest entry of the journal: what pipelines wrote after it is not in the set."""
    clock: datetime | None = None
    """The moment by the metastore's clock."""


Purpose = Literal["backup", "partial", "replaced"]
"""Why a set was made: of all stores; of some that were named; of what a restore was about to replace."""


class Manifest(_Model):
    """A finished set."""

    format: int
    product: str
    set: str
    repository: str
    created: datetime
    finished: datetime
    label: str = ""
    purpose: Purpose = "backup"
    recipients: tuple[str, ...]
    key_check: str
    software: dict[str, str]
    recovery_point: RecoveryPoint
    stores: dict[str, StoredStore]
    left_out: dict[str, str] = Field(default_factory=dict)
    chunks: dict[str, ChunkFacts]
    new_bytes: int = 0
    locked_until: datetime | None = None
    """Before this nothing the set needs can be removed, as it was when it was made; None: it is not locked."""

    @property
    def size(self) -> int:
        """Bytes of all content."""
        return sum(file.size for store in self.stores.values() for file in store.files)

    @property
    def stored(self) -> int:
        """Bytes of all chunks it needs, those shared with other sets included."""
        return sum(chunk.stored for chunk in self.chunks.values())

    def to_bytes(self) -> bytes:
        """The file's content: JSON whose member `checksum` is the SHA-256 of all the rest."""
        body = self.model_dump(mode="json")
        return json.dumps({**body, "checksum": _checksum(body)}, indent=1, sort_keys=True).encode()


def new_set_id(now: datetime, earlier: Collection[str] = ()) -> str:
    """An id that sorts by time to the microsecond, and after all `earlier` ones whatever the clock says.

    Which set is the newest decides what is restored, compared and kept: two are made within one second, and a clock
    that was set back tells a time before that of the set made last.
    """
    made = f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond:05x}{secrets.token_hex(1)[1:]}"
    latest = max(earlier, default="")
    if made > latest:
        return made
    try:
        return new_set_id(datetime.strptime(latest.partition("-")[0], "%Y%m%dT%H%M%S%z") + timedelta(seconds=1))
    except (ValueError, OverflowError):  # a folder that somebody named: no time can be after it
        return made


def is_set_id(text: str) -> bool:
    """Whether a text has the form of a set's id."""
    return _SET.fullmatch(text) is not None


def read_manifest(content: bytes, *, set_id: str, repository: str) -> Manifest:
    """A manifest as it was written.

    Raises:
        StateError: it is damaged, names a path outside the set, or belongs to another set or repository.
        Unsupported: a later version of the workbench wrote it.
    """
    where = f"the manifest of set {set_id}"
    broken = "take another set: workbench backup list"
    if len(content) > LARGEST:
        raise StateError(f"{where} has {len(content)} bytes, more than any has", hint=broken)
    try:
        body = json.loads(content)
        stated = body.pop("checksum")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise StateError(f"{where} is cut off or damaged ({type(error).__name__})", hint=broken) from None
    if body.get("product") != PRODUCT or not isinstance(body.get("format"), int):
        raise StateError(f"{where} was not written by the workbench", hint=broken)
    if stated != _checksum(body):
        raise StateError(f"{where} is damaged: its checksum is not that of its content", hint=broken)
    if body["format"] > FORMAT:
        raise Unsupported(
            f"{where} has format {body['format']}, this version reads up to {FORMAT}",
            hint="install the version of the workbench that made it",
        )
    try:
        made = Manifest.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StateError(f"{where} is refused at {place}: {first['msg'][:200]}", hint=broken) from None
    if made.set != set_id:
        raise StateError(f"{where} says it is {made.set[:80]!r}", hint="it was copied to the wrong place")
    if made.repository != repository:
        raise StateError(
            f"set {set_id} is foreign: it belongs to repository {made.repository[:80]!r}, this is {repository!r}",
            hint="open the repository it was made in, as a whole",
        )
    _check_complete(made, where)
    return made


def _check_complete(made: Manifest, where: str) -> None:
    for name, store in made.stores.items():
        for file in store.files:
            missing = next((one for one in file.chunks if one not in made.chunks), None)
            if missing is not None:
                raise StateError(f"{where} tells nothing of a chunk of {name}/{file.path}", hint="take another set")
            if sum(made.chunks[one].size for one in file.chunks) != file.size:
                raise StateError(f"{where}: the chunks of {name}/{file.path} do not make its size", hint="another set")


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
