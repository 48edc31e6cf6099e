"""The manifest of an archive: what its parts are and hold, signed. It is written last, and nothing counts without it.

The signature is Ed25519 over the canonical form (RFC 8785) of everything else in the file, by the key that also signs
heads of the audit trail. It tells names, counts, hashes and the range of keys, which are values of the table.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from data_workbench.audit import Keys
from data_workbench.errors import AccessDenied, StateError, Unsupported
from data_workbench.metastore.audit import canonical

FORM: Final = "odras-archive/1"
FORMAT: Final = 2
LARGEST: Final = 64 * 1024**2
_ARCHIVE = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}")
_POLICY = re.compile(r"[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62})?")
_HINT = "workbench archive verify names every archive that is not as it was written"

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnFacts(_Model):
    """A column as the table had it, and the Arrow type it is kept as."""

    name: str
    native: str
    arrow: str


class PartFacts(_Model):
    """A file; `first` and `last` are the texts of its lowest and highest value of the key's first column."""

    sha256: Hash
    bytes: Annotated[int, Field(ge=1)]
    rows: Annotated[int, Field(ge=1)]
    content: str
    first: str
    last: str
    first_time: str
    last_time: str
    attributes: dict[str, list[str]] = Field(default_factory=dict)


class ExtraFacts(_Model):
    """A file of lines beside the parts: what the rows had in the `graph`, or as `vectors`."""

    kind: Literal["graph", "vectors"]
    sha256: Hash
    bytes: Annotated[int, Field(ge=1)]
    lines: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(ge=0)]


class Origin(_Model):
    """The table rows came from; `database` is the id that its database keeps in `_workbench`."""

    connection: str
    stream: str
    database: str
    key: tuple[str, ...]


class Kin(_Model):
    """Another archive of rows that left together with these, in one transaction."""

    policy: Annotated[str, StringConstraints(pattern=f"^{_POLICY.pattern}$")]
    archive: Annotated[str, StringConstraints(pattern=f"^{_ARCHIVE.pattern}$")]


class Link(_Model):
    """Columns by which rows refer to rows of another table, as a foreign key did when they were archived."""

    table: str
    columns: tuple[str, ...]
    refers_to: tuple[str, ...]


class Written(_Model):
    """How parts are written, and how much that saved: hundredths of what the rows take in Arrow's memory."""

    codec: str
    level: int
    row_group: int
    raw_bytes: int
    percent: int


class Manifest(_Model):
    """A finished archive."""

    form: str
    format: int
    archive: str
    shelf: str
    policy: str
    definition: dict[str, Any]
    partition: str
    created: datetime
    """When its rows left their table; a compacted archive keeps that of the newest it replaces."""
    origin: Origin
    columns: tuple[ColumnFacts, ...]
    rows: Annotated[int, Field(ge=1)]
    content: str
    source_content: str = ""
    """PostgreSQL's own checksum of the rows, which archives of format 1 have."""
    written: Written
    parts: tuple[PartFacts, ...]
    extras: tuple[ExtraFacts, ...] = ()
    retained_until: datetime | None
    legal_hold: bool
    replaces: tuple[str, ...] = ()
    took: tuple[Kin, ...] = ()
    """Archives of the rows that were taken along, since they refer to these."""
    root: Kin | None = None
    """The archive whose rows these were taken along with."""
    links: tuple[Link, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.bytes for part in self.parts) + sum(one.bytes for one in self.extras)

    def sealed(self, keys: Keys) -> bytes:
        """The file's content, signed."""
        body = {**self.model_dump(mode="json"), "key": keys.text}
        signature = keys.sign_bytes(canonical(body))
        return json.dumps({**body, "signature": signature}, indent=1, sort_keys=True, ensure_ascii=False).encode()


def digest_of(sealed: bytes) -> str:
    """What tells one manifest from another."""
    return hashlib.sha256(sealed).hexdigest()


def new_archive_id(left: datetime) -> str:
    """An id for rows that leave their table now, or left it then; ids sort by that time to the microsecond.

    Which of two archives is newer decides whose types count, and two are made within one second.
    """
    return f"{left:%Y%m%dT%H%M%SZ}-{left.microsecond:05x}{secrets.token_hex(4)[1:]}"


def is_archive_id(text: str) -> bool:
    """Whether a text has the form of an archive's id."""
    return _ARCHIVE.fullmatch(text) is not None


def is_policy_name(text: str) -> bool:
    """Whether a text can be the name of a policy, or `<policy>.<table>` for what it took along; and of a folder."""
    return _POLICY.fullmatch(text) is not None


def is_taken_by(name: str, policy: str) -> bool:
    """Whether a name is that of a table whose rows a policy takes along."""
    return name.startswith(f"{policy}.")


def read_manifest(content: bytes, keys: Keys, *, policy: str, archive: str, shelf: str) -> Manifest:
    """A manifest as it was signed.

    Raises:
        StateError: it is damaged, or is another archive's or shelf's.
        AccessDenied: another key signed it.
        Unsupported: a later version of the workbench wrote it.
    """
    where = f"the manifest of archive {archive}"
    if len(content) > LARGEST:
        raise StateError(f"{where} has {len(content)} bytes, more than any has", hint=_HINT)
    body, signature = _parsed(content, where)
    if body.get("form") != FORM or not isinstance(body.get("format"), int):
        raise StateError(f"{where} was not written by the workbench", hint=_HINT)
    if body["format"] > FORMAT:
        raise Unsupported(
            f"{where} has format {body['format']}, this version reads up to {FORMAT}",
            hint="install the version of the workbench that made it",
        )
    signer = body.pop("key", None)
    if not keys.has_signed_bytes(canonical({**body, "key": signer}), signature):
        if signer != keys.text:
            raise AccessDenied(
                f"{where} is signed by key {str(signer)[:44]!r}, the key here is {keys.text!r}",
                hint="name the key that made it in WORKBENCH_AUDIT_KEY, or take the foreign archive away",
            )
        raise StateError(f"{where} is damaged: the signature is not of its content", hint=_HINT)
    try:
        made = Manifest.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StateError(f"{where} is refused at {place}: {first['msg'][:200]}", hint=_HINT) from None
    _check_place(made, where, policy=policy, archive=archive, shelf=shelf)
    return made


def _parsed(content: bytes, where: str) -> tuple[dict[str, Any], str]:
    try:
        body = json.loads(content)
        signature = body.pop("signature")
        canonical(body)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise StateError(f"{where} is cut off or damaged ({type(error).__name__})", hint=_HINT) from None
    return body, str(signature)


def _check_place(made: Manifest, where: str, *, policy: str, archive: str, shelf: str) -> None:
    if (made.archive, made.policy) != (archive, policy):
        raise StateError(
            f"{where} says it is {made.archive[:40]!r} of {made.policy[:70]!r}", hint="it was copied to the wrong place"
        )
    if made.shelf != shelf:
        raise StateError(
            f"archive {archive} is foreign: it belongs to shelf {made.shelf[:40]!r}, this is {shelf!r}",
            hint="open the shelf it was made on, as a whole",
        )
    if sum(part.rows for part in made.parts) != made.rows:
        raise StateError(f"{where} counts {made.rows} rows, its parts another number", hint=_HINT)
