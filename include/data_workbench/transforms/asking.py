"""Has the questions of an `enrich` or `embed` step answered, batch by batch, and puts the answers into its table.

Answers are written to a file first: the engine is not asked two things at once, and its memory is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from data_workbench.enrichment.answers import REASON, STATE
from data_workbench.errors import TransformError, Unsupported
from data_workbench.records.names import literal
from data_workbench.records.types import with_native
from data_workbench.transforms.arrow import without_extensions
from data_workbench.transforms.plan import Action

if TYPE_CHECKING:
    import duckdb
    import numpy
    import pyarrow as pa

_QUESTIONS = 2000
"""Asked at once: enough to fill requests, and few enough that what is remembered of them is soon kept."""


class Asks(Protocol):
    """Whoever answers steps: `enrichment.asking.Outside`."""

    def ask(self, step: str, wanted: Mapping[str, Any], questions: pa.RecordBatch, fields: pa.Schema) -> pa.RecordBatch:
        """The answers to questions, in their order."""

    def embed(self, model: str, texts: Sequence[str]) -> numpy.ndarray:
        """The vectors of texts, in their order."""


def fill_answers(
    engine: duckdb.DuckDBPyConnection, action: Action, *, step: str, outside: Asks | None, folder: Path
) -> None:
    """Put the answers to a step's questions into its table.

    Raises:
        TransformError: an answer cannot be used, and the step wants the run to end then.
        Unsupported: there is nobody to ask.
    """
    import pyarrow.parquet as pq

    if outside is None:
        raise Unsupported(f"step {step!r}: nobody can be asked here")
    table = action.arguments["table"]
    schema = _stored(without_extensions(engine.sql(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema), action)
    answer = _embedded(outside, action) if action.kind == "embed" else _answered(outside, action, step, schema)
    path = folder / f"answers-{step}.parquet"
    reader = engine.sql(action.sql).to_arrow_reader(_QUESTIONS)
    try:
        with pq.ParquetWriter(path, schema) as writer:
            for batch in _plain(reader):
                writer.write_batch(_beside(batch, answer(batch), schema))
    finally:
        reader.close()
    engine.execute(f"INSERT INTO {table} SELECT * FROM read_parquet({literal(str(path.resolve()))})")
    path.unlink()


def _stored(schema: pa.Schema, action: Action) -> pa.Schema:
    """The table's fields as they are handed over: UUIDs as text, which the engine reads."""
    import pyarrow as pa

    kinds = [] if action.kind == "embed" or "into" in action.arguments["wanted"] else action.arguments["kinds"].values()
    texts = {f"v{index}" for index, kind in enumerate(kinds) if kind in ("JSON", "UUID")}
    return pa.schema([item.with_type(pa.string()) if item.name in texts else item for item in schema])


def _plain(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Batches with values that leave the engine as what they are stored as."""
    import pyarrow as pa

    for batch in reader:
        arrays = [one.storage if isinstance(one, pa.ExtensionArray) else one for one in batch.columns]
        if batch.num_rows:
            yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _answered(
    outside: Asks, action: Action, step: str, schema: pa.Schema
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    import pyarrow as pa

    arguments = action.arguments
    fields = _fields(arguments["kinds"], schema, has_list="into" in arguments["wanted"])

    def answer(batch: pa.RecordBatch) -> pa.RecordBatch:
        questions = pa.RecordBatch.from_pydict({name: batch.column(at) for name, at in arguments["given"].items()})
        found = outside.ask(step, arguments["wanted"], questions, fields)
        if arguments["fails"]:
            _refuse_wrong(step, batch, found)
        return found

    return answer


def _refuse_wrong(step: str, questions: pa.RecordBatch, found: pa.RecordBatch) -> None:
    for at, state in enumerate(found.column(STATE).to_pylist()):
        if state == "wrong":
            asked = ", ".join(str(value) for value in questions.slice(at, 1).to_pylist()[0].values())
            raise TransformError(
                f"step {step!r}: no answer that can be used for {asked[:200]}: {found.column(REASON)[at].as_py()}",
                hint="write on_failure: quarantine, and its row is set aside",
            )


def _fields(kinds: Mapping[str, str], schema: pa.Schema, *, has_list: bool) -> pa.Schema:
    """A field for each value that is taken: of the table's columns, or of the structs in its list."""
    import pyarrow as pa

    made = {"JSON": "json", "UUID": "uuid"}
    types = list(schema.field("v0").type.value_type) if has_list else [schema.field(f"v{i}") for i in range(len(kinds))]
    fields = []
    for (name, kind), item in zip(kinds.items(), types, strict=True):
        is_text = kind in made
        bare = pa.field(name, pa.string() if is_text else item.type)
        fields.append(with_native(bare, made[kind]) if is_text else bare)
    return pa.schema(fields)


def _embedded(outside: Asks, action: Action) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    import pyarrow as pa

    def answer(batch: pa.RecordBatch) -> pa.RecordBatch:
        vectors = outside.embed(action.arguments["model"], batch.column(0).to_pylist())
        flat = pa.array(vectors.reshape(-1), pa.float32())
        offsets = pa.array(range(0, len(flat) + 1, vectors.shape[1]), pa.int32())
        return pa.RecordBatch.from_arrays([pa.ListArray.from_arrays(offsets, flat)], names=["v0"])

    return answer


def _beside(questions: pa.RecordBatch, answers: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Questions and answers as the table has them."""
    import pyarrow as pa

    columns = [*questions.columns, *answers.columns]
    return pa.RecordBatch.from_arrays(
        [one.cast(item.type) for one, item in zip(columns, schema, strict=True)], schema=schema
    )
