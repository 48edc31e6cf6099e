"""Archives as an Apache Iceberg table beside them: their parts, added where they lie, as one table for any reader.

    iceberg/<policy>/metadata/version-hint.text      which of the next counts
    iceberg/<policy>/metadata/v<number>.metadata.json
    iceberg/<policy>/data/…parquet                   rows of parts that are not live as a whole, or have other types

The table is what the table's own database says is live, and follows it: it is brought in line after every run,
restore, compaction and expiry, and can be made anew at any time. It needs pyiceberg (requirements-iceberg.txt).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_workbench.archive import ledger, parts
from data_workbench.archive.checking import read_part
from data_workbench.archive.manifest import Manifest
from data_workbench.archive.policy import Compression
from data_workbench.archive.shelf import Shelf, part_path
from data_workbench.archive.widening import is_read_as, plain
from data_workbench.errors import SchemaConflict, Unsupported
from data_workbench.events import emit

if TYPE_CHECKING:
    import psycopg
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction

FOLDER: Final = "iceberg"
_IDENTIFIER: Final = ("archives", "archived")
_PROPERTIES: Final = {"write.metadata.previous-versions-max": "1", "commit.manifest-merge.enabled": "true"}
_MAPPING: Final = "schema.name-mapping.default"
"""Parts know no ids of Iceberg's columns: they are read by names."""


@dataclass(frozen=True)
class Synced:
    """What an Iceberg table has now: files that were added, taken out, and left."""

    metadata: str
    rows: int
    added: int
    removed: int
    kept: int


def require_pyiceberg() -> None:
    """Raise Unsupported where pyiceberg is not installed."""
    try:
        import pyiceberg  # noqa: F401
    except ImportError:
        raise Unsupported(
            "the policy asks for an Iceberg table, and pyiceberg is not installed",
            hint="pip install -r requirements-iceberg.txt, or take `iceberg: true` out of the policy",
        ) from None


def sync(session: psycopg.Connection, shelf: Shelf, policy: str) -> Synced | None:
    """Bring the Iceberg table of a policy's archives in line with what is live; None where there never was any.

    Raises:
        Unsupported: pyiceberg is not installed.
        SchemaConflict: a column had types that cannot be told as one.
        StateError: an archive is damaged.
    """
    require_pyiceberg()
    marks = [one for one in ledger.noted(session).values() if one.policy == policy and one.state == "live" and one.live]
    found = [shelf.manifest(policy, one.archive) for one in marks]
    gone = ledger.gone(session, [one.archive for one in marks])
    # By the moment their rows left, not by their ids: those of before ids told it sort by chance within a second.
    ordered = sorted((one for one in found if one is not None), key=lambda one: (one.created, one.archive))
    return _Publication(shelf, policy, ordered, gone).run()


class _Publication:
    """One bringing in line."""

    def __init__(self, shelf: Shelf, policy: str, manifests: Sequence[Manifest], gone: pa.Table) -> None:
        self._shelf, self._policy, self._manifests, self._gone = shelf, policy, manifests, gone
        self._folder = f"{FOLDER}/{policy}"
        self._reach: dict[str, str] = {}

    def run(self) -> Synced | None:
        """Bring the table in line."""
        from data_workbench.archive.iceberg_files import reached

        with reached(self._shelf.place, self._address) as self._reach:
            return self._run()

    def _run(self) -> Synced | None:
        table = self._opened()
        if table is None and not self._manifests:
            return None
        if table is None or (self._manifests and not self._follows(table)):
            table = self._made()
        files = {task.file.file_path: task.file for task in table.scan().plan_files()}
        wanted = dict(self._wanted(table))
        added = [path for path in wanted if path not in files]
        removed = [file for path, file in files.items() if path not in wanted]
        if added or removed:
            self._commit(table, added, removed)
            old = [one.snapshot_id for one in table.snapshots()[:-2]]
            if old:
                table.maintenance.expire_snapshots().by_ids(old).commit()
        emit("iceberg.committed", policy=self._policy)
        metadata = self._publish(table)
        emit("iceberg.published", policy=self._policy)
        self._clear(table, {*wanted, *(file.file_path for file in removed)})
        return Synced(metadata, sum(wanted.values()), len(added), len(removed), len(wanted) - len(added))

    # ---------------------------------------------------------------------------------------------- the table

    @cached_property
    def _address(self) -> str:
        """The shelf's place. Iceberg's metadata names files whole, so where it was moved the table is made anew."""
        local = self._shelf.place.local("")
        return self._shelf.address if local is None else str(local.resolve())

    @property
    def _root(self) -> str:
        """The table's place."""
        return f"{self._address}/{self._folder}"

    @cached_property
    def _catalog(self) -> Catalog:
        """A catalogue for as long as this takes: what counts stands in the folder."""
        from pyiceberg.catalog.memory import InMemoryCatalog

        found = InMemoryCatalog("archives", warehouse=self._root, **self._reach)
        found.create_namespace(_IDENTIFIER[0])
        return found

    def _opened(self) -> Table | None:
        """The table as it was published; None before that, or where the shelf was moved since."""
        hint = self._shelf.place.read(f"{self._folder}/metadata/version-hint.text")
        if hint is None:
            return None
        table = self._catalog.register_table(_IDENTIFIER, f"{self._root}/metadata/v{int(hint)}.metadata.json")
        if table.location() == self._root:
            return table
        self._catalog.drop_table(_IDENTIFIER)
        return None

    def _made(self) -> Table:
        if self._catalog.table_exists(_IDENTIFIER):
            self._catalog.drop_table(_IDENTIFIER)
        return self._catalog.create_table(_IDENTIFIER, _columns(self._schema), self._root, properties=_PROPERTIES)

    @cached_property
    def _schema(self) -> pa.Schema:
        """The columns of all archives, the newest's first, with the newest's types; none is required."""
        found: dict[str, pa.Field] = {}
        for manifest in reversed(self._manifests):
            for item in self._part_schema(manifest):
                found.setdefault(item.name, pa.field(item.name, plain(item.type)))
        return pa.schema(found.values())

    def _part_schema(self, manifest: Manifest) -> pa.Schema:
        content = self._shelf.part(self._policy, manifest.archive, manifest.parts[0])
        return pq.read_schema(pa.BufferReader(content))

    def _follows(self, table: Table) -> bool:
        """Whether the table has taken over what changed of the columns; where it cannot, it is made anew."""
        from pyiceberg.exceptions import ValidationError

        try:
            with table.transaction() as changes:
                with changes.update_schema() as update:
                    update.union_by_name(_columns(self._schema))
                self._tell_columns(changes)
        except (ValidationError, ValueError, TypeError):
            return False
        # What it will not change it may leave in silence.
        types = {item.name: item.type for item in table.schema().as_arrow()}
        return all(is_read_as(item.type, types[item.name]) for item in self._schema)

    def _tell_columns(self, changes: Transaction) -> None:
        """Keep what readers and writers need to know of the columns.

        Dates and times may be infinite or before the year 1, which pyiceberg has no bounds for; an age never is.
        """
        schema, known = changes.table_metadata.schema(), changes.table_metadata.properties
        wanted = {_MAPPING: schema.name_mapping.model_dump_json()}
        ages = {one.definition["age"]["column"] for one in self._manifests if one.root is None}
        for item in schema.as_arrow():
            if pa.types.is_temporal(item.type) and item.name not in ages:
                wanted[f"write.metadata.metrics.column.{item.name}"] = "counts"
        changed = {name: value for name, value in wanted.items() if known.get(name) != value}
        if changed:
            changes.set_properties(changed)

    # ---------------------------------------------------------------------------------------------- its files

    def _wanted(self, table: Table) -> Iterator[tuple[str, int]]:
        """Paths of the files the table is to have, and rows of each; those that are not parts are written."""
        types = {item.name: item.type for item in table.schema().as_arrow()}
        for manifest in self._manifests:
            mine = self._gone.filter(pc.equal(self._gone.column("archive"), manifest.archive))
            is_same = all(is_read_as(item.type, types[item.name]) for item in self._part_schema(manifest))
            for place, part in enumerate(manifest.parts):
                left = pc.sum(pc.equal(mine.column("part"), place)).as_py() or 0
                if left == part.rows:
                    continue
                if is_same and not left:
                    yield f"{self._address}/{part_path(self._policy, manifest.archive, part.sha256)}", part.rows
                    continue
                name = f"{self._folder}/data/{part.sha256[:32]}-{left}-{table.schema().schema_id}.parquet"
                if self._shelf.place.read(name) is None:
                    self._write(name, parts.live_rows(read_part(self._shelf, manifest, place), place, mine), types)
                yield f"{self._root}/data/{name.rpartition('/')[2]}", part.rows - left

    def _write(self, name: str, rows: pa.Table, types: Mapping[str, pa.DataType]) -> None:
        columns = {}
        for column, values in zip(rows.column_names, rows.columns, strict=True):
            try:
                columns[column] = values.cast(plain(types[column]))
            except pa.ArrowException:
                raise SchemaConflict(
                    f"column {column} was archived as {values.type} and is {types[column]} now: no table of both",
                    hint="take `iceberg: true` out of the policy; `archive query` reads each as it can",
                ) from None
        content = parts.encoded(pa.table(columns), [], Compression(level=3))
        self._shelf.place.publish(name, content)

    def _commit(self, table: Table, added: Sequence[str], removed: Sequence[DataFile]) -> None:
        """All in one snapshot: whoever reads sees the archives as they were or as they are."""
        from pyiceberg.io.pyarrow import parquet_files_to_data_files

        with table.transaction() as changes:
            self._tell_columns(changes)
            with changes.update_snapshot().overwrite() as snapshot:
                for file in removed:
                    snapshot.delete_data_file(file)
                for file in parquet_files_to_data_files(table.io, changes.table_metadata, iter(added)):
                    snapshot.append_data_file(file)

    def _publish(self, table: Table) -> str:
        """Let readers without a catalogue find the table: they go by a number, which is written last."""
        place, folder = self._shelf.place, f"{self._folder}/metadata"
        hint = place.read(f"{folder}/version-hint.text")
        number = 0 if hint is None else int(hint)
        newest = f"{folder}/v{number}.metadata.json"
        metadata = place.read(f"{folder}/{table.metadata_location.rpartition('/')[2]}")
        assert metadata is not None
        if number == 0 or place.read(newest) != metadata:
            number += 1
            newest = f"{folder}/v{number}.metadata.json"
            place.publish(newest, metadata)
            place.publish(f"{folder}/version-hint.text", str(number).encode())
        return f"{self._root}/metadata/v{number}.metadata.json"

    def _clear(self, table: Table, files: set[str]) -> None:
        """Remove what neither the newest snapshot nor the one before needs, which somebody may be reading just now."""
        kept = {f"{self._root}/metadata/version-hint.text", *files}
        for snapshot in table.snapshots()[-2:]:
            kept |= {snapshot.manifest_list, *(one.manifest_path for one in snapshot.manifests(table.io))}
        number = int(self._shelf.place.read(f"{self._folder}/metadata/version-hint.text") or 0)
        kept |= {f"{self._root}/metadata/v{number - back}.metadata.json" for back in (0, 1)}
        for folder in ("data", "metadata"):
            for name in self._shelf.place.files(f"{self._folder}/{folder}"):
                if f"{self._root}/{folder}/{name}" not in kept:
                    self._shelf.place.remove_file(f"{self._folder}/{folder}/{name}")


def _columns(schema: pa.Schema) -> Any:
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
    from pyiceberg.schema import assign_fresh_schema_ids

    return assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(schema))
