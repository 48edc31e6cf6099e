"""Spark in the place of DuckDB's connection: it takes a plan's statements and gives Arrow back.

Tables are checkpointed where Spark keeps its data: a stage is computed once, and a lost executor fails the run, which
is then started again from what has landed, as a run in DuckDB is.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from data_workbench.errors import TransformError
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import quoted
from data_workbench.records.uuids import UUID5_MACROS
from data_workbench.transforms.dialect import read_duckdb
from data_workbench.transforms.engine import FIXED
from data_workbench.transforms.landing import FILE_SHIFT, rows_in
from data_workbench.transforms.spark.remote import Remote
from data_workbench.transforms.spark.select import ROWID
from data_workbench.transforms.spark.session import SparkTarget, open_session
from data_workbench.transforms.spark.statements import Queries
from data_workbench.transforms.spark.types import NoSparkType, spark_type
from data_workbench.transforms.spark.worker import Work, make_function
from data_workbench.transforms.text import listing, variable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from data_workbench.settings import Settings
    from data_workbench.transforms.engine import Opener

_COLLECTED = 20_000
"""Landed rows up to which results come in one piece; of more, they are written to files by the executors."""
_SETUP = (*FIXED, *UUID5_MACROS)


def spark_opener(target: SparkTarget) -> Opener:
    """What opens an engine on a cluster, as `open_engine` opens one in the process."""

    @contextmanager
    def open_spark(
        *,
        settings: Settings,
        work_folder: Path,
        params: Mapping[str, tuple[str, Any]],
        folders: Iterable[Path] = (),
        in_order: bool = True,
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        del folders, in_order  # Spark reads what the cluster lets it, and sorts where the order counts
        work_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = SparkEngine(open_session(target, settings), params, work_folder)
        try:
            yield engine  # type: ignore[misc]  # it answers to what plans ask of a connection
        finally:
            engine.close()

    return open_spark


class SparkEngine:
    """Runs statements written for DuckDB.

    Args:
        params: variables: name to DuckDB type and value.
        folder: scratch space that driver and executors see alike.
    """

    def __init__(self, spark: SparkSession, params: Mapping[str, tuple[str, Any]], folder: Path) -> None:
        import duckdb

        self.spark = spark
        self.folder = folder
        self.prefix = f"w{uuid.uuid4().hex[:12]}"
        self.params = dict(params)
        self.oracle = duckdb.connect(config={"threads": 1})
        for statement in _SETUP:
            self.oracle.execute(statement)
        for name, (kind, _) in params.items():
            self.oracle.execute(f"SET VARIABLE {variable(name)} = CAST(NULL AS {kind})")
        self.views: dict[str, str] = {}
        self.tables: dict[str, DataFrame] = {}
        self.functions: dict[Remote, str] = {}
        shown = {f"param_{name}": one for name, one in params.items() if not name.startswith("_wb_secret")}
        self.queries = Queries(self.oracle, self.views, self.tables, shown, self._define)
        self.count = 0
        self.landed_rows = 0

    def close(self) -> None:
        """Forget what was made."""
        for name in self.views.values():
            self.spark.catalog.dropTempView(name)
        self.oracle.close()

    # ------------------------------------------------------------------------------------------------- statements

    def execute(self, sql: str) -> Answer:
        """Run one statement."""
        tree = read_duckdb(sql)
        if isinstance(tree, exp.Create):
            self._create(tree)
        elif isinstance(tree, exp.Insert):
            self._insert(tree)
        elif isinstance(tree, exp.Drop):
            self.tables.pop(tree.this.name, None)
            self.oracle.execute(sql)
        else:
            return Answer(self, tree)
        return Answer(self, None)

    def sql(self, sql: str) -> Answer:
        """A query."""
        return Answer(self, read_duckdb(sql))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """INSERT of given rows."""
        import pyarrow as pa

        name = read_duckdb(sql).this.name
        schema = self.oracle.sql(f"SELECT * FROM {quoted(name)}").to_arrow_table().schema
        columns = [pa.array([row[index] for row in rows], item.type) for index, item in enumerate(schema)]
        self._append(name, self.spark.createDataFrame(pa.table(columns, schema=schema)))

    def register(self, name: str, table: pa.Table) -> None:
        """A table given."""
        self.oracle.register(name, table.slice(0, 0))
        self._show(name, self.spark.createDataFrame(table))

    def unregister(self, name: str) -> None:
        """The reverse of `register`."""
        self.oracle.unregister(name)
        self.spark.catalog.dropTempView(self.views.pop(name))

    def land(self, view: str, schema: pa.Schema, files: Sequence[Path]) -> None:
        """A view over landed Parquet files with the schema's columns and ORDINAL."""
        name = view[1:-1].replace('""', '"')
        empty = schema.empty_table()
        self.oracle.register("landed_now", empty)
        extra = "" if ORDINAL in schema.names else f", CAST(0 AS BIGINT) AS {ORDINAL}"
        self.oracle.execute(f"CREATE OR REPLACE TEMP TABLE {view} AS SELECT *{extra} FROM landed_now")
        self.oracle.unregister("landed_now")
        kinds = self.queries.columns(f"SELECT {listing(schema.names)} FROM {view}")
        wanted = ", ".join(f"`{one}` {self._type(kind, one)}" for one, kind in kinds.items())
        self._landed(name, wanted, files, has_place=ORDINAL in schema.names)

    def _landed(self, name: str, wanted: str, files: Sequence[Path], *, has_place: bool) -> None:
        """Show landed files; a row's place is that of its file and that in it."""
        from pyspark.sql import functions

        frames = []
        for index, file in enumerate(files):
            self.landed_rows += rows_in([file])
            frame = self.spark.read.schema(wanted).parquet(_url(file))
            if not has_place:
                place = functions.col("_metadata.row_index") + functions.lit(index * FILE_SHIFT)
                frame = frame.select("*", place.cast("bigint").alias(ORDINAL))
            frames.append(frame)
        if not frames:
            frames = [self._empty(wanted if has_place else f"{wanted}, {ORDINAL} BIGINT")]
        whole = frames[0]
        for frame in frames[1:]:
            whole = whole.union(frame)
        self._show(name, whole)

    def _empty(self, fields: str) -> DataFrame:
        return self.spark.createDataFrame([], fields)

    def _create(self, tree: exp.Create) -> None:
        made = tree.this
        if isinstance(made, exp.Schema):
            name = made.this.name
            self.oracle.execute(tree.sql(dialect="duckdb"))
            kinds = self.queries.columns(f"SELECT * FROM {quoted(name)}")
            fields = [*(f"`{one}` {self._type(kind, one)}" for one, kind in kinds.items()), f"{ROWID} BIGINT"]
            self._keep(name, self._empty(", ".join(fields)))
            return
        name, query = made.name, tree.expression
        is_table = tree.kind == "TABLE"
        frame = self._frame(query, in_order=is_table)
        text = query.sql(dialect="duckdb")
        self.oracle.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS {text}")
        if is_table:
            self._keep(name, self._numbered(frame))
        else:
            self._show(name, frame)

    def _insert(self, tree: exp.Insert) -> None:
        name, query = tree.this.name, tree.expression
        source = query.args["from_"].this
        if isinstance(source, exp.Table) and isinstance(source.this, exp.ReadParquet):
            frame = self._placed(Path(source.this.expressions[0].name))
        else:
            frame = self._frame(query)
        self._append(name, frame)

    def _placed(self, file: Path) -> DataFrame:
        """The rows of a file in their order."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path, count = file.with_suffix(".placed"), 0
        with pq.ParquetFile(file) as reader:
            schema = reader.schema_arrow.append(pa.field("_wb_place", pa.int64()))
            with pq.ParquetWriter(path, schema) as writer:
                for batch in reader.iter_batches():
                    places = pa.array(range(count, count + batch.num_rows), pa.int64())
                    writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, places], schema=schema))
                    count += batch.num_rows
        return self.spark.read.parquet(_url(path)).orderBy("_wb_place").drop("_wb_place")

    def _frame(self, query: exp.Expr, *, in_order: bool = False) -> DataFrame:
        with _told():
            return self.spark.sql(self.queries.write(query, in_order=in_order))

    def _append(self, name: str, frame: DataFrame) -> None:
        from pyspark.sql import functions

        before = self.tables[name]
        kinds = self.queries.columns(f"SELECT * FROM {quoted(name)}")
        fields = [functions.col(f"`{one}`").cast(self._type(kind, one)) for one, kind in kinds.items()]
        typed = frame.toDF(*kinds).select(*fields)
        self._keep(name, self._numbered(before.drop(ROWID).union(typed)))

    def _numbered(self, frame: DataFrame) -> DataFrame:
        """The rows with their places, computed once."""
        from pyspark.sql import functions

        with _told():
            return frame.select("*", functions.monotonically_increasing_id().alias(ROWID)).localCheckpoint()

    def _keep(self, name: str, frame: DataFrame) -> None:
        self.tables[name] = frame
        self._show(name, frame)

    def _show(self, name: str, frame: DataFrame) -> None:
        self.count += 1
        self.views[name] = f"{self.prefix}_{self.count}"
        frame.createOrReplaceTempView(self.views[name])

    def _type(self, kind: str, column: str) -> str:
        try:
            return spark_type(kind)
        except NoSparkType as error:
            raise TransformError(
                f"column {column!r}: {error}", hint="cast it to text at the source, or use engine: duckdb"
            ) from error

    # -------------------------------------------------------------------------------------------------- functions

    def _define(self, remote: Remote) -> str:
        if remote in self.functions:
            return self.functions[remote]
        from pyspark import cloudpickle
        from pyspark.sql.functions import arrow_udf

        from data_workbench.transforms.spark import worker

        name = f"{self.prefix}_f{len(self.functions)}"
        used = tuple(
            (variable(param), kind, value)
            for param, (kind, value) in self.params.items()
            if f"'{variable(param)[1:-1]}'" in remote.sql
        )
        result = self._type(remote.result, remote.sql[:80])
        work = Work(remote.sql, _casts(remote.kinds), _arrow(result), remote.is_fold, _SETUP, used)
        cloudpickle.register_pickle_by_value(worker)
        self.spark.udf.register(name, arrow_udf(make_function(work), result))
        self.functions[remote] = name
        return name


class Answer:
    """The rows of a query."""

    def __init__(self, engine: SparkEngine, tree: exp.Expr | None) -> None:
        self.engine = engine
        self.tree = tree

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        if self.tree is None:
            return []
        frame = self.engine._frame(self.tree)
        with _told():
            return [tuple(row) for row in frame.collect()]

    def to_arrow_table(self) -> pa.Table:
        """All rows, as DuckDB types them."""
        assert self.tree is not None
        frame = self.engine._frame(self.tree, in_order=True)
        with _told():
            table = frame.toArrow()
        schema = self._schema()
        import pyarrow as pa

        return pa.table([table.column(i).cast(item.type) for i, item in enumerate(schema)], schema=schema)

    def to_arrow_reader(self, batch_rows: int) -> pa.RecordBatchReader:
        """The rows in batches, in their order."""
        import pyarrow as pa

        if self.engine.landed_rows <= _COLLECTED:
            table = self.to_arrow_table().combine_chunks()
            return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(batch_rows))
        schema = self._schema()
        return pa.RecordBatchReader.from_batches(schema, self._written(schema, batch_rows))

    def _written(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows through files, written side by side and read one after the other."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        assert self.tree is not None
        folder = self.engine.folder / f"out-{uuid.uuid4().hex[:12]}"
        frame = self.engine._frame(self.tree, in_order=True)
        with _told():
            frame.write.parquet(_url(folder))
        for file in sorted(folder.glob("part-*.parquet")):
            with pq.ParquetFile(file) as reader:
                for batch in reader.iter_batches(batch_rows):
                    columns = [batch.column(i).cast(item.type) for i, item in enumerate(schema)]
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)
            file.unlink()

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        assert self.tree is not None
        found = self.engine.oracle.sql(self.tree.sql(dialect="duckdb")).to_arrow_table().schema
        return pa.schema([
            item.with_type(item.type.storage_type) if isinstance(item.type, pa.BaseExtensionType) else item
            for item in found
        ])  # fmt: skip


def _casts(kinds: Sequence[str]) -> tuple[str, ...]:
    """The types to cast to where Spark has no such type."""
    same = ("VARCHAR", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DOUBLE", "INTEGER", "BIGINT", "BOOLEAN", "DATE")
    return tuple("" if kind in same or kind in ('"NULL"',) else kind for kind in kinds)


def _arrow(ddl: str) -> bytes:
    """Spark's type as Arrow has it, serialized."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_type
    from pyspark.sql.types import _parse_datatype_string

    kind = _parse_datatype_string(ddl)
    return bytes(pa.schema([pa.field("v", to_arrow_type(kind, timezone="UTC"))]).serialize().to_pybytes())


def _url(file: Path) -> str:
    return file.resolve().as_uri()


@contextmanager
def _told() -> Iterator[None]:
    """Spark's errors as the ones that plans answer to."""
    import duckdb
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        raise duckdb.InvalidInputException(_first(str(error))) from error


_RAISED = re.compile(r"^[\w.]*\.?\w*(?:Error|Exception): (?P<told>.*)$", re.MULTILINE)


def _first(text: str) -> str:
    """The words of an error, without traces; of one that Python raised on an executor, that error's words."""
    raised = [one for one in _RAISED.finditer(text) if "PythonException" not in one.group(0)]
    if raised:
        return raised[-1]["told"].strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2])[:500]
