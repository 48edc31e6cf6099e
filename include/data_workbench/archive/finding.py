"""Finding archived rows: by key, by words, and with SQL; what is live where comes from one snapshot of the database."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from psycopg import sql

from data_workbench.archive import cold, ledger, parts
from data_workbench.archive.checking import read_part
from data_workbench.archive.manifest import Manifest, is_taken_by
from data_workbench.archive.registration import texts_of
from data_workbench.archive.running import Archiver
from data_workbench.archive.shelf import Shelf
from data_workbench.archive.source import Dataset, copied, table_as_dataset
from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres.catalogue import get_table
from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.errors import SchemaConflict, StateError, UsageError
from data_workbench.mapping.text_values import from_text
from data_workbench.metastore import Metastore, archives
from data_workbench.records.names import quoted
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ARCHIVE, PART, ROW = "_wb_archive", "_wb_part", "_wb_row"


def taken_by(store: Metastore, shelf: Shelf, policy: str) -> list[archives.Archive]:
    """Archives that may hold rows which a policy took along, oldest first."""
    found = archives.list_archives(store, shelf=shelf.id, states=("written", "live", "restored"))
    return [one for one in found if is_taken_by(one.policy, policy)]


def archives_of(store: Metastore, shelf: Shelf, policy: str) -> list[archives.Archive]:
    """A policy's archives that may hold rows, oldest first; the table's database knows which do.

    One that is `written` here may be live there already. Raises UsageError if there are none.
    """
    found = archives.list_archives(store, policy=policy, shelf=shelf.id, states=("written", "live", "restored"))
    if not found:
        known = sorted({one.policy for one in archives.list_archives(store, shelf=shelf.id)})
        raise UsageError(
            f"there are no archives of policy {policy!r} on {shelf.address}",
            hint=f"policies with archives: {', '.join(known)}" if known else "workbench archive run makes them",
        )
    return found


def key_values(keys: Sequence[Sequence[str]], names: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Keys given as texts, in the types they are archived with. Raises UsageError for what is no value of them."""
    columns = {}
    for place, name in enumerate(names):
        if any(len(key) != len(names) for key in keys):
            raise UsageError(f"a key has {len(names)} values: {', '.join(names)}", hint="give them in this order")
        item = schema.field(name)
        texts = [_canonical(key[place], native_type(item)) for key in keys]
        try:
            columns[name] = from_text(pa.array(texts), item.type)
        except (ValueError, pa.ArrowException, SchemaConflict):
            raise UsageError(
                f"{texts[0]!r} is no value of {name}, which is {item.type}", hint="give the key's values as text"
            ) from None
    return pa.table(columns)


def _canonical(text: str, native: str | None) -> str:
    if native != "uuid":
        return text
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise UsageError(f"{text!r} is no UUID", hint="write it as 01234567-89ab-cdef-0123-456789abcdef") from None


@dataclass(frozen=True)
class Found:
    """A row that was found, and where: the archive, or the table where it is None."""

    archive: str | None
    row: pa.Table


class Finder:
    """A policy's archives as of one moment. Use as a context manager's target: `with opened(…) as finder`."""

    def __init__(
        self, archiver: Archiver, found: Sequence[archives.Archive], session: client.PatientConnection
    ) -> None:
        self._archiver, self._session = archiver, session
        marks = ledger.noted(session, table=found[0].dataset)
        self.archives = [one for one in found if one.archive in marks and marks[one.archive].state == "live"]
        known = {one.archive for one in found}
        unknown = [one.archive for one in marks.values()
                   if one.state == "live" and one.policy == found[0].policy and one.archive not in known]  # fmt: skip
        if unknown:
            raise StateError(
                f"archive {unknown[0]} holds rows of {found[0].dataset}, and the metastore does not know it",
                hint="workbench archive run registers what is on the shelf; is this the shelf it was made on?",
            )
        self._gone = ledger.gone(session, [one.archive for one in self.archives])
        self._registered = {one.archive: one for one in self.archives}
        self._known: dict[str, Manifest] = {}
        self.stream = found[0].dataset

    def manifest(self, archive: str) -> Manifest:
        """An archive's manifest, checked."""
        if archive not in self._known:
            found = self._archiver.shelf.manifest(self._registered[archive].policy, archive)
            if found is None:
                raise StateError(f"archive {archive} is lost", hint="workbench archive verify")
            self._known[archive] = found
        return self._known[archive]

    # ---------------------------------------------------------------------------------------------- by key

    def get(self, key: Sequence[str]) -> list[Found]:
        """Rows with a key that are live in an archive, and the one in the table."""
        if not self.archives:
            return self._hot(key)
        newest = self.manifest(self.archives[-1].archive)
        schema = _plain_schema(newest)
        values = key_values([key], newest.origin.key, schema)
        first = parts.sortable(values.column(0))[0].as_py()
        names = [one.archive for one in self.archives]
        wanted = archives.parts_of(self._archiver.metastore, names, key=first)
        conditions = " AND ".join(f"{quoted(name)} = ?" for name in newest.origin.key)
        given = [values.column(name)[0].as_py() for name in newest.origin.key]
        found: list[Found] = []
        with self._cold(wanted) as connection:
            query = f"SELECT * FROM cold WHERE {conditions}"
            rows = connection.sql(query, params=given).to_arrow_table() if wanted else pa.table({})
        for place in range(rows.num_rows):
            one = rows.slice(place, 1)
            archive = one.column(ARCHIVE)[0].as_py()
            self._require_part(archive, one.column(PART)[0].as_py())
            found.append(Found(archive, one.drop_columns([ARCHIVE, PART, ROW])))
        return found + self._hot(key)

    def _require_part(self, archive: str, place: int) -> None:
        """What is told of a row comes from a part whose hash is that of the manifest."""
        manifest = self.manifest(archive)
        self._archiver.shelf.part(manifest.policy, archive, manifest.parts[place])

    def _hot(self, key: Sequence[str]) -> list[Found]:
        """The row of the table."""
        dataset = self._table()
        columns = [column for name in dataset.table.key if (column := dataset.table.column(name)) is not None]
        if len(key) != len(columns):
            raise UsageError(f"a key has {len(columns)} values: {', '.join(dataset.table.key)}", hint="in this order")
        pairs = zip(columns, key, strict=True)
        texts = [(quoted(column.name), column.native, _canonical(value, column.native)) for column, value in pairs]
        tests = [
            sql.SQL("t.{} = {}::{}").format(sql.SQL(name), sql.Literal(value), sql.SQL(native))
            for name, native, value in texts
        ]
        batches = self._read(dataset, sql.SQL(" AND ").join(tests))
        return [Found(None, pa.Table.from_batches([batch])) for batch in batches if batch.num_rows]

    # ---------------------------------------------------------------------------------------------- by words

    def search(self, words: str, *, limit: int) -> list[Found]:
        """Live rows in whose searched columns all the words stand. Raises UsageError for no words, or no index."""
        store = self._archiver.metastore
        if not archives.has_words(store, words):
            raise UsageError(f"{words!r} holds no word to look for", hint="give one or more words")
        columns = [one for one in self.archives if self.manifest(one.archive).definition.get("search")]
        if not columns:
            raise UsageError(
                f"the words of {self.stream} are not indexed", hint="name columns in the policy: search: [column]"
            )
        found: list[Found] = []
        part: tuple[str, int, pa.Table] | None = None
        for block in archives.blocks_with(store, words, [one.archive for one in columns]):
            manifest = self.manifest(block.archive)
            if part is None or part[:2] != (block.archive, block.part):
                part = (block.archive, block.part, read_part(self._archiver.shelf, manifest, block.part))
            rows = part[2].slice(block.first_row, block.rows)
            texts = texts_of(rows, manifest.definition["search"])
            dead = self._dead(block.archive, block.part)
            for place in archives.with_words(store, words, texts):
                if block.first_row + place not in dead:
                    found.append(Found(block.archive, rows.slice(place, 1)))
                if len(found) == limit:
                    return found
        return found

    def _dead(self, archive: str, place: int) -> set[int]:
        import pyarrow.compute as pc

        mine = pc.and_(pc.equal(self._gone.column("archive"), archive), pc.equal(self._gone.column("part"), place))
        return set(self._gone.filter(mine).column("row").to_pylist())

    # ---------------------------------------------------------------------------------------------- with SQL

    def query(self, text: str, *, partition: str | None = None, with_live: bool = False) -> pa.Table:
        """The answer of one SELECT over the archived rows, as a table of the name it has in PostgreSQL.

        Raises:
            UsageError: it is no single SELECT, or DuckDB refuses it.
        """
        import duckdb

        names = [one.archive for one in self.archives if partition in (None, one.partition)]
        wanted = archives.parts_of(self._archiver.metastore, names) if names else []
        dataset = self._table()
        with self._cold(wanted) as connection:
            sources = [f"SELECT {self._columns(dataset)} FROM cold"] if wanted else []
            if with_live or not wanted:
                batches = self._read(dataset, sql.SQL("true") if with_live else sql.SQL("false"))
                reader = pa.RecordBatchReader.from_batches(dataset.schema, batches)
                connection.register("incoming", reader)
                connection.execute("CREATE TEMP TABLE hot AS SELECT * FROM incoming")
                connection.unregister("incoming")
                sources.append("SELECT * FROM hot")
            name = quoted(dataset.table.relation.name)
            connection.execute(f"CREATE TEMP VIEW {name} AS {' UNION ALL BY NAME '.join(sources)}")
            try:
                statements = connection.extract_statements(text)
                if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                    raise UsageError("a query is one SELECT", hint=f"SELECT … FROM {dataset.table.relation.name}")
                return connection.sql(text).to_arrow_table()
            except duckdb.Error as error:
                told = str(error).strip().splitlines()[0]
                raise UsageError(f"the query is refused: {told}", hint="it is DuckDB's SQL") from None

    def _columns(self, dataset: Dataset) -> str:
        """Columns as the newest archive or the table has them: those of the table first, in its types."""
        held = {one.name for archive in self.archives for one in self.manifest(archive.archive).columns}
        now = [f"CAST({quoted(item.name)} AS {_duck(item.type)}) AS {quoted(item.name)}" for item in dataset.schema
               if item.name in held]  # fmt: skip
        return ", ".join([*now, *[quoted(name) for name in sorted(held - set(dataset.schema.names))]])

    # ---------------------------------------------------------------------------------------------- inside

    @contextmanager
    def _cold(self, wanted: Sequence[archives.Part]) -> Iterator[DuckDBPyConnection]:
        """DuckDB with the live rows of these parts as `cold`; those on another machine are fetched first."""
        settings = self._archiver.settings
        with tempfile.TemporaryDirectory(prefix="workbench-archive-") as folder:
            files = [self._file(one, Path(folder)) for one in wanted]
            spill = Path(folder) / "spill"
            memory, threads = settings.duckdb_memory, settings.duckdb_threads
            with cold.locked(memory=memory, threads=threads, spill=spill, files=files) as connection:
                if wanted:
                    places = {
                        "filename": [str(one) for one in files],
                        ARCHIVE: [one.archive for one in wanted],
                        PART: pa.array([one.part for one in wanted], pa.int32()),
                    }
                    connection.register("places", pa.table(places))
                    connection.register("gone", self._gone)
                    connection.execute(
                        f"""CREATE TEMP VIEW cold AS
                            SELECT c.* EXCLUDE (filename, file_row_number), p.{ARCHIVE}, p.{PART},
                                   c.file_row_number AS {ROW}
                              FROM {cold.parquet(files)} AS c JOIN places AS p USING (filename)
                             WHERE NOT EXISTS (SELECT 1 FROM gone AS g WHERE g.archive = p.{ARCHIVE}
                                                  AND g.part = p.{PART} AND g.row = c.file_row_number)"""
                    )
                yield connection

    def _file(self, part: archives.Part, folder: Path) -> Path:
        shelf, policy = self._archiver.shelf, self._registered[part.archive].policy
        local = shelf.part_file(policy, part.archive, part)
        if local is None:
            local = folder / f"{part.sha256}.parquet"
            local.write_bytes(shelf.part(policy, part.archive, part))
        elif not local.is_file():
            raise StateError(f"part {part.sha256[:16]}… of archive {part.archive} is lost", hint="archive verify")
        return local.resolve()

    def _table(self) -> Dataset:
        table = get_table(self._session, parse_relation(self.stream))
        as_text = self.manifest(self.archives[-1].archive).definition.get("as_text") or () if self.archives else ()
        return table_as_dataset(self._session, table, as_text)

    def _read(self, dataset: Dataset, condition: sql.Composable) -> Iterator[pa.RecordBatch]:
        asked = dataset.asked()
        query = sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(
            sql.SQL(", ".join(one.expression for one in asked)), sql.SQL(dataset.table.relation.sql), condition
        )
        yield from copied(self._session, query, dataset.schema, asked, self.stream, self._archiver.settings)


@contextmanager
def opened(archiver: Archiver, policy: str) -> Iterator[Finder]:
    """Find rows of a policy's archives, as of this moment."""
    found = archives_of(archiver.metastore, archiver.shelf, policy)
    config = archiver.config_of(found[0].connection)
    with client.translating(config.address), client.connect(config) as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # This takes the snapshot. The list is asked for after it: an archive is registered before it becomes live.
        if ledger.origin_of(session) != found[0].database:
            raise StateError(
                f"archives of {policy!r} are of another database than PostgreSQL {config.address}",
                hint="correct the connection",
            )
        yield Finder(archiver, archives_of(archiver.metastore, archiver.shelf, policy), session)


def _plain_schema(manifest: Manifest) -> pa.Schema:
    """Of the key's columns: their types as Arrow has them, and PostgreSQL's names of them."""
    from data_workbench.connectors.postgres.types import arrow_type
    from data_workbench.records.types import with_native

    found = {one.name: one for one in manifest.columns}
    fields = []
    for name in manifest.origin.key:
        kind = arrow_type(found[name].native)
        kind = kind if str(kind) == found[name].arrow else pa.string()
        fields.append(with_native(pa.field(name, kind), found[name].native))
    return pa.schema(fields)


def _duck(kind: pa.DataType) -> str:
    """DuckDB's name of a type that a part can have."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    return _DUCK[str(kind)]


_DUCK = {
    "bool": "BOOLEAN",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date32[day]": "DATE",
    "time64[us]": "TIME",
    "binary": "BLOB",
    "string": "VARCHAR",
}
