"""Finding archived rows: by key, by words, and with SQL; what is live where comes from one snapshot of the database."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from psycopg import sql

from data_workbench.archive import cold, ledger, parts
from data_workbench.archive.checking import read_part
from data_workbench.archive.keys import archived_field, read_keys, require_values
from data_workbench.archive.manifest import Manifest, is_taken_by
from data_workbench.archive.registration import texts_of
from data_workbench.archive.running import Archiver
from data_workbench.archive.shelf import Shelf
from data_workbench.archive.source import Dataset, copied, table_as_dataset
from data_workbench.archive.widening import holds
from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres.catalogue import Table, get_table
from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.errors import StateError, StreamUnknown, UsageError
from data_workbench.metastore import Metastore, archives
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_SHOWN = 12
# DuckDB's types that are something else in Arrow, or nothing, be it within others: told as DuckDB's own text.
_WITHOUT_ARROW = re.compile(r"\b(INTERVAL|TIME WITH TIME ZONE|BIT|UNION|BIGNUM|VARIANT)\b")
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
        raise none_of(store, policy, f" on {shelf.address}")
    return found


def none_of(store: Metastore, policy: str, where: str = "") -> UsageError:
    """There are no archives of a policy of this name."""
    known = sorted({one.policy for one in archives.list_archives(store)})
    return UsageError(
        f"there are no archives of policy {policy!r}{where}",
        hint=f"policies with archives: {', '.join(known)}" if known else "workbench archive run makes them",
    )


def require_partition(partition: str | None, found: Sequence[archives.Archive]) -> None:
    """Raise UsageError for a partition of which there is no archive."""
    known = sorted({one.partition for one in found})
    if partition is not None and partition not in known:
        shown = ", ".join(known) if len(known) <= _SHOWN else f"{known[0]} to {known[-1]}, {len(known)} in all"
        raise UsageError(f"there is no archive of partition {partition!r}", hint=f"there are {shown}")


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
        values = read_keys(self._session, [key], newest, self._now, self._archiver.settings)
        first = parts.sortable(values.column(0))[0].as_py()
        names = [one.archive for one in self.archives]
        wanted = archives.parts_of(self._archiver.metastore, names, key=first)
        conditions = " AND ".join(f"{quoted(item.name)} = CAST(? AS {_duck(item.type)})" for item in values.schema)
        found: list[Found] = []
        with self._cold(wanted) as connection:
            query = f"SELECT * FROM cold WHERE {conditions}"
            rows = connection.sql(query, params=_texts(connection, values)).to_arrow_table() if wanted else pa.table({})
        for place in range(rows.num_rows):
            one = rows.slice(place, 1)
            archive = one.column(ARCHIVE)[0].as_py()
            self._require_part(archive, one.column(PART)[0].as_py())
            found.append(Found(archive, one.drop_columns([ARCHIVE, PART, ROW])))
        return found + self._hot(key, newest.origin.key)

    def _require_part(self, archive: str, place: int) -> None:
        """What is told of a row comes from a part whose hash is that of the manifest."""
        manifest = self.manifest(archive)
        self._archiver.shelf.part(manifest.policy, archive, manifest.parts[place])

    def _hot(self, key: Sequence[str], names: Sequence[str] = ()) -> list[Found]:
        """The row of the table, where there is one with the columns of the key."""
        if self._now is None:
            return []
        dataset = self._table()
        columns = [column for name in names or self._now.key if (column := self._now.column(name)) is not None]
        if len(columns) != len(names or self._now.key):
            return []
        require_values(key, [column.name for column in columns])
        tests = [
            sql.SQL("t.{} = {}::{}").format(sql.Identifier(column.name), sql.Literal(value), sql.SQL(column.native))
            for column, value in zip(columns, key, strict=True)
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

        require_partition(partition, self.archives)
        names = [one.archive for one in self.archives if partition in (None, one.partition)]
        wanted = archives.parts_of(self._archiver.metastore, names) if names else []
        # A table that is there no more is asked for what was archived of it.
        dataset = self._table() if self._now is not None or with_live or not wanted else None
        with self._cold(wanted) as connection:
            sources = [f"SELECT {self._columns(dataset)} FROM cold"] if wanted else []
            if dataset is not None and (with_live or not wanted):
                batches = self._read(dataset, sql.SQL("true") if with_live else sql.SQL("false"))
                reader = pa.RecordBatchReader.from_batches(dataset.schema, batches)
                connection.register("incoming", reader)
                connection.execute("CREATE TEMP TABLE hot AS SELECT * FROM incoming")
                connection.unregister("incoming")
                sources.append("SELECT * FROM hot")
            name = quoted(parse_relation(self.stream).name)
            connection.execute(f"CREATE TEMP VIEW {name} AS {' UNION ALL BY NAME '.join(sources)}")
            try:
                statements = connection.extract_statements(text)
                if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                    raise UsageError("a query is one SELECT", hint=f"SELECT … FROM {name}")
                return _told(connection.sql(text))
            except duckdb.Error as error:
                told = str(error).strip().splitlines()[0]
                hint = f"it is DuckDB's SQL over the table {name}"
                raise UsageError(f"the query is refused: {told}", hint=hint) from None

    def _columns(self, dataset: Dataset | None) -> str:
        """Columns as the newest archive or the table has them: those of the table first, in its types.

        A type that does not hold all that was archived is not taken: values are told as they were.
        """
        held: dict[str, set[pa.DataType]] = {}
        for archive in self.archives:
            manifest = self.manifest(archive.archive)
            for one in manifest.columns:
                held.setdefault(one.name, set()).add(archived_field(manifest, one.name).type)
        now = dataset.schema if dataset is not None else ()
        first = [
            f"CAST({quoted(item.name)} AS {_duck(item.type)}) AS {quoted(item.name)}"
            if all(holds(item.type, kind) for kind in held[item.name])
            else quoted(item.name)
            for item in now
            if item.name in held
        ]
        return ", ".join([*first, *[quoted(name) for name in sorted(held.keys() - {item.name for item in now})]])

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
                        cold.FILE: [str(one) for one in files],
                        ARCHIVE: [one.archive for one in wanted],
                        PART: pa.array([one.part for one in wanted], pa.int32()),
                    }
                    connection.register("places", pa.table(places))
                    connection.register("gone", self._gone)
                    connection.execute(
                        f"""CREATE TEMP VIEW cold AS
                            SELECT c.* EXCLUDE ({cold.FILE}, {cold.NUMBER}), p.{ARCHIVE}, p.{PART},
                                   c.{cold.NUMBER} AS {ROW}
                              FROM {cold.parquet(files)} AS c JOIN places AS p USING ({cold.FILE})
                             WHERE NOT EXISTS (SELECT 1 FROM gone AS g WHERE g.archive = p.{ARCHIVE}
                                                  AND g.part = p.{PART} AND g.row = c.{cold.NUMBER})"""
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

    @cached_property
    def _now(self) -> Table | None:
        """The table as it is; None where it was dropped or renamed since."""
        try:
            return get_table(self._session, parse_relation(self.stream))
        except StreamUnknown:
            return None

    def _table(self) -> Dataset:
        """Raises StreamUnknown where there is no table any more."""
        table = self._now or get_table(self._session, parse_relation(self.stream))
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


def _texts(connection: DuckDBPyConnection, values: pa.Table) -> list[str]:
    """A row as DuckDB writes and reads it: Python has no day before the year 1, and no endless one."""
    columns = ", ".join(f"{quoted(name)}::VARCHAR" for name in values.column_names)
    connection.register("given", values)
    [row] = connection.sql(f"SELECT {columns} FROM given").fetchall()
    connection.unregister("given")
    return list(row)


def _told(answer: DuckDBPyRelation) -> pa.Table:
    """An answer with a column for each name. Raises UsageError where two have one."""
    doubled = sorted({name for name in answer.columns if answer.columns.count(name) > 1})
    if doubled:
        raise UsageError(
            f"the answer has more than one column called {', '.join(doubled)}", hint="name one otherwise: … AS other"
        )
    is_text = [_WITHOUT_ARROW.search(str(kind)) is not None for kind in answer.types]
    if any(is_text):
        columns = enumerate(zip(answer.columns, is_text, strict=True), 1)
        answer = answer.project(
            ", ".join(f"#{place}{'::VARCHAR' if said else ''} AS {quoted(name)}" for place, (name, said) in columns)
        )
    return answer.to_arrow_table()


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
