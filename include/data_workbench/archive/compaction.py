"""Small archives of one partition made into one, so that a look-up opens fewer files.

The new archive is written, signed and read back like any other. One transaction at the table's database then makes it
live and the ones it replaces dead: a row is live in one of them at every moment. What went along with rows, in other
tables, in the graph and as vectors, becomes one with them. Archives under a legal hold, and with rows of another shape,
stay as they are; so do those that took others along or have anything beside them once rows of them came back.

The files of what was replaced stay for `archive_replaced_days`: a database that is brought back to a moment before
counts on them.
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
from data_workbench.archive.grouping import Group, groups_of
from data_workbench.archive.lines import LineFile, read_lines
from data_workbench.archive.manifest import FORMAT, ExtraFacts, Kin, Manifest, Written, new_archive_id
from data_workbench.archive.policy import Compression, Policy
from data_workbench.archive.running import Archiver, Table
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
        StateError: one of them is damaged, or the shelf is not there any more; nothing was replaced by it.
        ResourceExhausted: the shelf has no room for another archive.
    """
    done = Compacted()
    archiver.require_shelf(policy)
    if not dry_run:
        archiver.shelf.require_room(archiver.settings.min_free_disk)
    with archiver.opened(policy) as table:
        marks = ledger.noted(table.connection)
        for group in groups_of(archiver, policy, table, marks):
            done.replaced += [one.archive for one in group.members]
            done.rows += sum(marks[one.archive].live for one in group.members)
            if not dry_run:
                done.made += _replace(archiver, policy, table, group)
    return done


def _replace(archiver: Archiver, policy: Policy, table: Table, group: Group) -> list[str]:
    made = _written(archiver, policy, table, group)
    root = made[-1]
    emit("archive.written", archive=root.archive, rows=root.rows)
    notes = []
    for one in made:
        require_sound(archiver.shelf, one.policy, one.archive)
        digest = archiver.shelf.manifest_digest(one.policy, one.archive) or ""
        registration.register(archiver.metastore, archiver.shelf, one, digest, state="written", live=0)
        notes.append(registration.note_of(one, digest))
    emit("archive.registered", archive=root.archive)
    with table.connection.transaction():
        for note in notes:
            ledger.note(table.connection, note)
        ledger.set_state(table.connection, [one.archive for one in group.members], "replaced")
        emit("archive.before_commit", archive=root.archive)
    emit("archive.after_commit", archive=root.archive, rows=0)
    for one in made:
        archives.set_state(archiver.metastore, one.archive, "live", live=one.rows)
    if policy.iceberg:
        archiver.publish(table.connection, policy.archive)
    for one in group.members:
        if not archiver.settings.archive_replaced_days:
            archiver.shelf.remove(one.policy, one.archive)
            emit("archive.removed", archive=one.archive)
        registration.retire(archiver.metastore, one.archive, "replaced")
    emit("archive.finished", archive=root.archive, rows=0)
    return [one.archive for one in made]


def _written(archiver: Archiver, policy: Policy, table: Table, group: Group) -> list[Manifest]:
    """The new archives with their manifests, that of the policy's own rows last: it names the others."""
    newest = group.families[-1].root
    # They stand where those stood: rows that leave later, in other types, are newer than these written again.
    names = [one.policy for one in table.relatives if group.of(one.policy)]
    took = tuple(Kin(policy=name, archive=new_archive_id(group.of(name)[-1].created)) for name in names)
    root = Kin(policy=newest.policy, archive=new_archive_id(newest.created))
    retained = [one.retained_until for one in group.members]
    common = {
        "format": FORMAT,
        "source_content": "",
        # The longest of them: nothing goes before its time.
        "retained_until": None if None in retained else max(one for one in retained if one is not None),
        "legal_hold": any(one.legal_hold for one in group.members),
    }
    made = []
    for kin in (*took, root):
        manifest = _merged(archiver, policy, table, group.of(kin.policy), kin)
        relations = {"took": took, "extras": _beside(archiver, group, kin)} if kin is root else {"root": root}
        manifest = manifest.model_copy(update={**common, **relations})
        archiver.shelf.publish(manifest)
        made.append(manifest)
    return made


def _merged(archiver: Archiver, policy: Policy, table: Table, manifests: Sequence[Manifest], kin: Kin) -> Manifest:
    """The parts of a new archive of one table, and what its manifest tells of them."""
    newest = manifests[-1]
    key = list(newest.origin.key)
    rows = _live(archiver, table, manifests).sort_by([(name, "ascending") for name in key])
    compression = policy.compression or Compression(level=newest.written.level, row_group=newest.written.row_group)
    told = policy if newest.root is None else policy.model_copy(update={"attributes": None})
    layout = parts.Layout(compression)
    total, facts = ContentSum(), []
    at_once = parts.sample(rows, rows.num_rows, archiver.settings.batch_bytes).num_rows
    for part in archiver.cut(rows.to_batches(max_chunksize=at_once)):
        content = parts.encoded(part, key, layout.settle(part, key), layout.encodings)
        name = archiver.shelf.put_part(kin.policy, kin.archive, content)
        facts.append(part_facts(part, name, len(content), total.add(part), key[0], told))
        emit("archive.part", archive=kin.archive, rows=part.num_rows, bytes=len(content))
    total.close()
    size = sum(part.bytes for part in facts)
    return newest.model_copy(
        update={
            "archive": kin.archive,
            "rows": total.rows,
            "content": total.text,
            "written": Written(
                codec="zstd",
                level=compression.level,
                row_group=compression.row_group,
                raw_bytes=rows.nbytes,
                percent=round(100 * size / rows.nbytes) if rows.nbytes else 100,
            ),
            "parts": tuple(facts),
            "replaces": tuple(one.archive for one in manifests),
        }
    )


def _beside(archiver: Archiver, group: Group, kin: Kin) -> tuple[ExtraFacts, ...]:
    """What the rows had in graph and vectors; a relationship stays with the row that left first."""
    found = []
    for kind in ("graph", "vectors"):
        if not any(facts.kind == kind for one in group.of(kin.policy) for facts in one.extras):
            continue
        file = LineFile(kind)
        for one in group.of(kin.policy):
            for line in read_lines(archiver.shelf, one, kind):
                file.add(line)
        found.append(file.put(archiver.shelf, kin.policy, kin.archive))
    return tuple(found)


def _live(archiver: Archiver, table: Table, group: Sequence[Manifest]) -> pa.Table:
    gone = ledger.gone(table.connection, [one.archive for one in group])
    found = []
    for manifest in group:
        mine = gone.filter(pc.equal(gone.column("archive"), manifest.archive))
        for place in range(len(manifest.parts)):
            found.append(parts.live_rows(read_part(archiver.shelf, manifest, place), place, mine))
    return pa.concat_tables(found)
