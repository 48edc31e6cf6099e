"""Checking archives: every manifest, signature, part, row count and content, and that each object is accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from data_workbench.archive.cold import ContentSum
from data_workbench.archive.holds import hold_problem
from data_workbench.archive.lines import read_lines
from data_workbench.archive.manifest import Manifest
from data_workbench.archive.parts import decoded, decoded_groups
from data_workbench.archive.shelf import HOLD, MANIFEST, Shelf, extra_name
from data_workbench.errors import StateError, WorkbenchError
from data_workbench.events import emit


@dataclass(frozen=True)
class Expected:
    """An archive that has to be there, as the metastore or the table's database knows it."""

    policy: str
    archive: str
    manifest: str


@dataclass
class Findings:
    """What checking found; `problems` by archive, those of the shelf itself under an empty text."""

    archives: int = 0
    parts: int = 0
    rows: int = 0
    bytes: int = 0
    unfinished: list[str] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def say(self, archive: str, problem: str) -> None:
        """Add a problem."""
        self.problems.setdefault(archive, []).append(problem)


def check_shelf(shelf: Shelf, expected: Iterable[Expected], *, policy: str | None = None) -> Findings:
    """Check every archive on a shelf, or those of one policy, against what has to be there."""
    found = Findings()
    wanted = {one.archive: one for one in expected if policy in (None, one.policy)}
    there = {name: one for one in shelf.policies() if policy in (None, one) for name in shelf.archives(one)}
    for name in sorted(wanted.keys() - there.keys()):
        found.say(name, "it is lost: there is nothing of it on the shelf")
    for name, owner in sorted(there.items()):
        _check_one(shelf, owner, name, wanted.get(name), found)
    for stranger in shelf.strangers() if policy is None else ():
        found.say("", f"{stranger} belongs to no archive")
    return found


def _check_one(shelf: Shelf, policy: str, archive: str, wanted: Expected | None, found: Findings) -> None:
    try:
        manifest = shelf.manifest(policy, archive)
    except WorkbenchError as error:
        found.say(archive, error.message)
        return
    if manifest is None:
        if wanted is None:
            found.unfinished.append(archive)
        else:
            found.say(archive, "its manifest is lost")
        return
    if wanted is None:
        found.say(archive, "nobody knows of it: it was put here, or the metastore forgot it")
    elif shelf.manifest_digest(policy, archive) != wanted.manifest:
        found.say(archive, "its manifest is another than the one that was registered")
    problems = problems_of(shelf, manifest)
    found.archives += 1
    found.parts += len(manifest.parts)
    found.rows += manifest.rows
    found.bytes += manifest.size
    for one in problems:
        found.say(archive, one)


def problems_of(shelf: Shelf, manifest: Manifest, *, has_content: bool = True) -> list[str]:
    """What is wrong with the files of an archive.

    Args:
        has_content: hold the rows that were read against the sum of their fingerprints, too.
    """
    problems = []
    known = {f"{part.sha256}.parquet" for part in manifest.parts} | {MANIFEST, HOLD}
    known |= {extra_name(one.sha256) for one in manifest.extras}
    for name in sorted(shelf.files(manifest.policy, manifest.archive).keys() - known):
        problems.append(f"file {name!r} is none of its parts")
    hold = shelf.hold(manifest.policy, manifest.archive)
    if hold is not None and (problem := hold_problem(shelf.keys, manifest.archive, hold)):
        problems.append(problem)
    for kind in ("graph", "vectors"):
        try:
            for _ in read_lines(shelf, manifest, kind):
                pass
        except StateError as error:
            problems.append(error.message)
    total = ContentSum()
    try:
        for place in range(len(manifest.parts)):
            try:
                rows = read_part(shelf, manifest, place)
                if has_content and total.add(rows) != manifest.parts[place].content:
                    problems.append(f"part {place} does not hold the rows that were written")
            except StateError as error:
                problems.append(error.message)
            emit("archive.checked", archive=manifest.archive, bytes=manifest.parts[place].bytes)
        if has_content and not problems and total.text != manifest.content:
            problems.append("its parts together are not what was written")
    finally:
        total.close()
    return problems


def require_sound(shelf: Shelf, policy: str, archive: str, *, has_content: bool = True) -> Manifest:
    """An archive as it stands on its shelf, read back and checked.

    Args:
        has_content: without it signature, hashes, columns and counts are; for who compares every row afterwards.

    Raises:
        StateError: it is not what was written.
    """
    manifest = shelf.manifest(policy, archive)
    if manifest is None:
        raise StateError(f"archive {archive} has no manifest", hint="workbench archive run makes it anew")
    problems = problems_of(shelf, manifest, has_content=has_content)
    if problems:
        raise StateError(f"archive {archive} is not sound: {problems[0]}", hint="workbench archive verify")
    return manifest


def read_part(shelf: Shelf, manifest: Manifest, place: int) -> pa.Table:
    """The rows of a part, its hash, columns and number of rows checked. Raises StateError."""
    facts = manifest.parts[place]
    try:
        rows = decoded(shelf.part(manifest.policy, manifest.archive, facts))
    except (pa.ArrowException, OSError) as error:
        raise _no_parquet(manifest, place, error) from None
    _require_shape(rows, manifest, place, count=facts.rows)
    return rows


def read_groups(shelf: Shelf, manifest: Manifest, place: int) -> Iterator[tuple[int, pa.Table]]:
    """The rows of a part, a row group at a time, each with the number of its first row; checked as `read_part` does."""
    facts, first = manifest.parts[place], 0
    try:
        for rows in decoded_groups(shelf.part(manifest.policy, manifest.archive, facts)):
            _require_shape(rows, manifest, place, count=None)
            yield first, rows
            first += rows.num_rows
    except (pa.ArrowException, OSError) as error:
        raise _no_parquet(manifest, place, error) from None
    if first != facts.rows:
        raise _other_shape(manifest, place)


def all_groups(shelf: Shelf, manifest: Manifest) -> Iterator[tuple[int, int, pa.Table]]:
    """All rows of an archive by row groups: the part's place, the number of the first row in it, the rows."""
    for place in range(len(manifest.parts)):
        for first, rows in read_groups(shelf, manifest, place):
            yield place, first, rows


def _require_shape(rows: pa.Table, manifest: Manifest, place: int, *, count: int | None) -> None:
    columns = {item.name: str(item.type) for item in rows.schema}
    is_other = count is not None and rows.num_rows != count
    if is_other or columns != {column.name: column.arrow for column in manifest.columns}:
        raise _other_shape(manifest, place)


def _other_shape(manifest: Manifest, place: int) -> StateError:
    return StateError(
        f"part {manifest.parts[place].sha256[:16]}… of archive {manifest.archive} has other columns or rows than its "
        "manifest says",
        hint="workbench archive verify",
    )


def _no_parquet(manifest: Manifest, place: int, error: Exception) -> StateError:
    part = manifest.parts[place].sha256
    return StateError(
        f"part {part[:16]}… of archive {manifest.archive} is no Parquet ({type(error).__name__})",
        hint="workbench archive verify",
    )


def as_document(found: Findings) -> Mapping[str, object]:
    """For the command line and the metastore."""
    return {**vars(found), "sound": found.is_sound}
