"""A tap that is really run, and folders of messages."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from data_workbench.connectors.base import ReadRequest, Rejection
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.singer.source import SingerSource
from data_workbench.settings import Settings

TAP = Path(__file__).parents[3] / "fixtures" / "taps" / "tap_parts.py"
CANARY = "canary-0f3d9a-secret"
Opener = Callable[..., SingerSource]


def tap_connection(**config: Any) -> Connection:
    extra = {
        "command": [sys.executable, str(TAP)],
        "config": {"rows": 5, **config},
        "secret_key": "secret",
        "timeout": 30,
    }
    return Connection(id="parts_tap", kind="workbench_singer", password=SecretStr(CANARY), extra=extra)


@pytest.fixture
def messages(tmp_path: Path) -> Callable[..., SingerSource]:
    """A source over one file of these messages; texts are lines as they are."""

    def write(*lines: dict[str, Any] | str, **settings: Any) -> SingerSource:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / "messages.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
        connection = Connection(id="messages", kind="workbench_singer", host=f"file://{tmp_path}")
        return SingerSource(connection, dataclasses.replace(Settings(), **settings))

    return write


def read(source: SingerSource, stream: str, **asked: Any) -> tuple[pa.Table, list[Rejection]]:
    reading = source.read(ReadRequest(stream, **asked))
    try:
        batches = list(reading)
    finally:
        reading.close()
    return pa.Table.from_batches(batches, reading.schema), list(reading.rejections)


def schema(stream: str = "s", key: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"properties": properties},
        "key_properties": ["id"] if key is None else key,
    }


def record(stream: str = "s", /, **values: Any) -> dict[str, Any]:
    return {"type": "RECORD", "stream": stream, "record": values}
