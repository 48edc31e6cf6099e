"""Spark reads parts of archives, whichever encodings they were written in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from data_workbench.archive import parts
from data_workbench.archive.policy import Compression
from data_workbench.settings import load
from data_workbench.transforms.spark.session import SparkTarget, open_session

COUNT = 5_000
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
ENCODINGS = {
    "id": "DELTA_BINARY_PACKED", "small": "DELTA_BINARY_PACKED", "price": "DELTA_BINARY_PACKED",
    "at": "DELTA_BINARY_PACKED", "ratio": "BYTE_STREAM_SPLIT", "half": "BYTE_STREAM_SPLIT",
    "text": "DELTA_BYTE_ARRAY", "raw": "DELTA_LENGTH_BYTE_ARRAY", "word": "PLAIN",
}  # fmt: skip


def test_spark_reads_every_encoding_a_part_may_have(spark: SparkTarget, tmp_path: Path) -> None:
    numbers = range(COUNT)
    rows = pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "small": pa.array([one % 300 for one in numbers], pa.int16()),
            "price": pa.array([Decimal(one) / 100 for one in numbers], pa.decimal128(12, 2)),
            "at": pa.array([BEGIN + timedelta(seconds=one) for one in numbers], pa.timestamp("us", "UTC")),
            "ratio": pa.array([one / 4 for one in numbers]),
            "half": pa.array([one / 4 for one in numbers], pa.float32()),
            "text": [f"row {one}" for one in numbers],
            "raw": [str(one * 7_919).encode() for one in numbers],
            "word": [f"naïve {one % 7} 🚀" for one in numbers],
        }
    )
    file = tmp_path / "part.parquet"
    file.write_bytes(parts.encoded(rows, ["id"], Compression(level=3, row_group=1_000), ENCODINGS))
    session = open_session(spark, load())
    read = session.read.parquet(str(file)).orderBy("id")
    found = read.selectExpr("*", "unix_micros(at) AS moment").drop("at").collect()
    wanted = rows.drop_columns(["at"]).to_pylist()
    moments = rows.column("at").cast(pa.int64()).to_pylist()
    told = [{name: bytes(value) if name == "raw" else value for name, value in row.asDict().items()} for row in found]
    assert told == [{**row, "moment": moment} for row, moment in zip(wanted, moments, strict=True)]
