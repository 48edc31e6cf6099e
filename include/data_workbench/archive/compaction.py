"""Small archives of one partition made into one, so that a look-up opens fewer files.

The new archive is written, signed and read back like any other. One transaction at the table's database then makes it
live and the ones it replaces dead: a row is live in one of them at every moment. Archives under a legal hold, with rows
of another shape, with graph and vectors beside them, or that took others along stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.archive import ledger, parts, registration
from data_workbench.archive.checking import read_part, require_sound
from data_workbench.archive.cold import ContentSum
from data_workbench.archive.drafting import part_facts
from data_workbench.archive.holds import is_held
from data_workbench.archive.manifest import FORMAT, Manifest, Written, new_archive_id
from data_workbench.archive.policy import Compression, Policy
from data_workbench.archive.running import Archiver, Table, note_of
from data_workbench.events import emit
from data_workbench.metastore import archives


@dataclass
class Compacted:
    """Archives that were made, and those they replace."""

    made: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    rows: int = 0


def compact(archiver: Archiver, policy: Policy, *, dry_run: bool = False) -> Compacted:
    """Make one archive of each group of small ones whose rows fit into one.

    Raises:
        StoreBusy: another process archives, restores or expires the table.
        StateError: one of them is damaged; nothing was replaced by it.
    """
    done = Compacted()
    with archiver.opened(policy) as table:
        noted = ledger.noted(table.connection, table=table.origin.stream)
        for group in _groups(archiver, policy, table, noted):
            done.replaced += [one.archive for one in group]
            done.rows += sum(noted[one.archive].live for one in group)
            if not dry_run:
                done.made.append(_replace(archiver, policy, table, group))
    return done


def _groups(archiver: Archiver, policy: Policy, table: Table, noted: dict[str, ledger.Noted]) -> list[list[Manifest]]:
    """Archives to be made one of: at most half full, of one partition and one shape, two or more together."""
    found: dict[tuple[object, ...], list[list[Manifest]]] = {}
    for archive in archiver.shelf.archives(policy.archive):
        mark = noted.get(archive)
        if mark is None or mark.state != "live" or not 0 < mark.live <= policy.batch_rows // 2:
            continue
        manifest = archiver.shelf.manifest(policy.archive, archive)
        if manifest is None or manifest.extras or manifest.took:
            continue
        if manifest.origin != table.origin or is_held(archiver.shelf, manifest):
            continue
        groups = found.setdefault((manifest.partition, manifest.columns), [[]])
        if sum(noted[one.archive].live for one in groups[-1]) + mark.live > policy.batch_rows:
            groups.append([])
        groups[-1].append(manifest)
    return [group for groups in found.values() for group in groups if len(group) > 1]


def _replace(archiver: Archiver, policy: Policy, table: Table, group: Sequence[Manifest]) -> str:
    manifest = _write(archiver, policy, table, group)
    archiver.shelf.publish(manifest)
    emit("archive.written", archive=manifest.archive, rows=manifest.rows)
    require_sound(archiver.shelf, manifest.policy, manifest.archive)
    digest = archiver.shelf.manifest_digest(manifest.policy, manifest.archive) or ""
    registration.register(archiver.metastore, archiver.shelf, manifest, digest, state="written", live=0)
    emit("archive.registered", archive=manifest.archive)
    old = [one.archive for one in group]
    with table.connection.transaction():
        ledger.note(table.connection, note_of(manifest, digest))
        ledger.set_state(table.connection, old, "replaced")
        emit("archive.before_commit", archive=manifest.archive)
    emit("archive.after_commit", archive=manifest.archive, rows=0)
    archives.set_state(archiver.metastore, manifest.archive, "live", live=manifest.rows)
    if policy.iceberg:
        archiver.publish(table.connection, policy.archive)
    for archive in old:
        archiver.shelf.remove(policy.archive, archive)
        registration.retire(archiver.metastore, archive, "replaced")
    emit("archive.finished", archive=manifest.archive, rows=0)
    return manifest.archive


def _write(archiver: Archiver, policy: Policy, table: Table, group: Sequence[Manifest]) -> Manifest:
    """The parts of the new archive, and its manifest, which is not published yet."""
    key, newest = list(table.origin.key), group[-1]
    # It stands where they stood: rows that leave later, in other types, are newer than these written again.
    archive = new_archive_id(newest.created)
    rows = _live(archiver, table, group).sort_by([(name, "ascending") for name in key])
    compression = policy.compression or Compression(level=newest.written.level, row_group=newest.written.row_group)
    layout = parts.Layout(compression)
    total, facts = ContentSum(), []
    for part in parts.cut(rows.to_batches(), archiver.settings.part_rows):
        content = parts.encoded(part, key, layout.settle(part, key), layout.encodings)
        name = archiver.shelf.put_part(policy.archive, archive, content)
        facts.append(part_facts(part, name, len(content), total.add(part), key[0], policy))
        emit("archive.part", archive=archive, rows=part.num_rows, bytes=len(content))
    total.close()
    size = sum(part.bytes for part in facts)
    retained = [one.retained_until for one in group]
    return newest.model_copy(
        update={
            "archive": archive,
            "rows": total.rows,
            "content": total.text,
            "source_content": "",
            "format": FORMAT,
            "written": Written(
                codec="zstd",
                level=compression.level,
                row_group=compression.row_group,
                raw_bytes=rows.nbytes,
                percent=round(100 * size / rows.nbytes) if rows.nbytes else 100,
            ),
            "parts": tuple(facts),
            # The longest of them: nothing goes before its time.
            "retained_until": None if None in retained else max(one for one in retained if one is not None),
            "legal_hold": any(one.legal_hold for one in group),
            "replaces": tuple(one.archive for one in group),
        }
    )


def _live(archiver: Archiver, table: Table, group: Sequence[Manifest]) -> pa.Table:
    gone = ledger.gone(table.connection, [one.archive for one in group])
    found = []
    for manifest in group:
        mine = gone.filter(pc.equal(gone.column("archive"), manifest.archive))
        for place in range(len(manifest.parts)):
            found.append(parts.live_rows(read_part(archiver.shelf, manifest, place), place, mine))
    return pa.concat_tables(found)
