"""One peer in a process of its own: `PEERS_PYTHON peer_worker.py NAME < question.json`, told as one JSON document.

Runs in the peers' environment (`make bench-peers`), which has neither the engine nor its pins: nothing of either is
imported here. Each peer is used as its documentation does; Parquet is zstd level 1 where the peer lets one choose.
Seconds are those of the transfer: imports are out of them, as they are for the engine.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

CHUNK = 50_000


def adbc(dsn: str, table: str, into: str) -> Callable[[], None]:
    import adbc_driver_postgresql.dbapi as driver
    import pyarrow.parquet as pq

    def work() -> None:
        with driver.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            reader = cursor.fetch_record_batch()
            with pq.ParquetWriter(into, reader.schema, compression="zstd", compression_level=1) as writer:
                for batch in reader:
                    writer.write_batch(batch)

    return work


def connectorx(dsn: str, table: str, into: str) -> Callable[[], None]:
    import connectorx as cx
    import pyarrow.parquet as pq

    def work() -> None:
        rows = cx.read_sql(dsn, f"SELECT * FROM {table}", return_type="arrow", protocol="binary")
        pq.write_table(rows, into, compression="zstd", compression_level=1)

    return work


def pandas(dsn: str, table: str, into: str) -> Callable[[], None]:
    import pandas as pd
    import sqlalchemy

    def work() -> None:
        engine = sqlalchemy.create_engine(dsn.replace("postgresql://", "postgresql+psycopg2://"))
        with engine.connect() as connection:
            rows = pd.read_sql(sqlalchemy.text(f"SELECT * FROM {table}"), connection)
        # pandas leaves Python objects (UUID) where Arrow wants one type.
        rows["uid"] = rows["uid"].astype(str)
        rows["document"] = rows["document"].map(json.dumps)
        rows.to_parquet(into, compression="zstd")
        engine.dispose()

    return work


def dlt(dsn: str, table: str, into: str) -> Callable[[], None]:
    return _dlt(dsn, table, lambda lib: lib.destinations.filesystem(bucket_url=Path(into).as_uri()), "parquet")


def dlt_postgres(dsn: str, table: str, into: str) -> Callable[[], None]:
    # Its CSV takes no bytes; Parquet goes through ADBC, which is there.
    return _dlt(dsn, table, lambda lib: lib.destinations.postgres(credentials=dsn), "parquet", dataset=into)


def _dlt(
    dsn: str, table: str, destination: Callable[[Any], Any], form: str, dataset: str = "bench"
) -> Callable[[], None]:
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DATA_WRITER__COMPRESSION": "zstd",
        "NORMALIZE__DATA_WRITER__COMPRESSION": "zstd",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
    import dlt as lib
    from dlt.sources.sql_database import sql_table

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            pipeline = lib.pipeline(
                "bench", destination=destination(lib), dataset_name=dataset, pipelines_dir=f"{folder}/pipelines"
            )
            rows = sql_table(credentials=dsn, table=table, schema="public", backend="pyarrow", chunk_size=CHUNK)
            pipeline.run(rows, write_disposition="append", loader_file_format=form).raise_on_failed_jobs()

    return work


def duckdb(dsn: str, table: str, into: str) -> Callable[[], None]:
    """DuckDB's own COPY of a CSV file; `table` is the file."""
    import duckdb as lib

    def work() -> None:
        with lib.connect() as connection:
            connection.execute("SET threads = 2")
            connection.execute(f"COPY (FROM read_csv('{table}')) TO '{into}' (FORMAT parquet, CODEC 'zstd')")

    return work


def duckdb_script(dsn: str, table: str, into: str) -> Callable[[], None]:
    """DuckDB with statements written by hand; `table` holds them."""
    import duckdb as lib

    def work() -> None:
        with lib.connect() as connection:
            connection.execute("SET threads = 2")
            connection.execute(table)

    return work


PEERS: dict[str, tuple[Callable[[str, str, str], Callable[[], None]], tuple[str, ...]]] = {
    "adbc": (adbc, ("adbc-driver-postgresql", "pyarrow")),
    "connectorx": (connectorx, ("connectorx", "pyarrow")),
    "pandas": (pandas, ("pandas", "SQLAlchemy", "psycopg2-binary")),
    "dlt": (dlt, ("dlt", "pyarrow")),
    "dlt_postgres": (dlt_postgres, ("dlt", "psycopg2-binary")),
    "duckdb": (duckdb, ("duckdb",)),
    "duckdb_script": (duckdb_script, ("duckdb",)),
}
"""What prepares a peer, and the distributions whose versions are told."""


def peak_memory() -> int:
    """The most memory this process ever held, in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123  # not a file on a disk
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main(name: str) -> None:
    """Run one peer once."""
    question = json.load(sys.stdin)
    prepare, distributions = PEERS[name]
    work = prepare(question["dsn"], question["table"], question["into"])
    began = time.monotonic()
    work()
    took = time.monotonic() - began
    versions = {one: version(one) for one in distributions}
    print("@@" + json.dumps({"seconds": took, "memory": peak_memory(), "versions": versions}))


if __name__ == "__main__":
    main(sys.argv[1])
