"""File stores as fixtures, one server each for the session, one bucket or folder each for a test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.connectors.files import stores


@pytest.fixture(scope="session", params=["moto", "versitygw"])
def s3_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.S3]:
    if request.param == "moto":
        with stores.moto() as server:
            yield server
        return
    binary = os.environ.get(stores.VERSITYGW)
    if not binary:
        pytest.skip(f"{stores.VERSITYGW} names no versitygw binary")
    with stores.versitygw(binary, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3_server: stores.S3) -> str:
    """A new bucket."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3_server.client().create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.Sftp]:
    with stores.sftp(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture
def sftp_root(sftp_server: stores.Sftp) -> str:
    """A new folder on the server."""
    name = uuid.uuid4().hex[:12]
    (sftp_server.folder / name).mkdir()
    return name


@pytest.fixture
def http_server(tmp_path: Path) -> Iterator[stores.Http]:
    folder = tmp_path / "web"
    folder.mkdir()
    with stores.http(folder) as server:
        yield server
