"""A repository in a bucket, reached by a connection with keys and an endpoint."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from tests.integration.connectors.files.stores import KEY, SECRET, moto
from tests.unit.backup.conftest import Repository, new_keyring
from tests.unit.backup.test_places import goes_round

from data_workbench.backup.vault import open_vault
from data_workbench.connectors.connections import Connections
from data_workbench.errors import StateError, WorkbenchError
from data_workbench.settings import Settings


def test_sets_in_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    with moto() as server:
        bucket = f"backups-{uuid.uuid4().hex[:12]}"
        server.client().create_bucket(Bucket=bucket)

        def connected(root: str) -> None:
            value = {"conn_type": "workbench_files", "host": root, "login": KEY, "password": SECRET}
            extra = {"endpoint_url": server.endpoint, "region": "us-east-1"}
            monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps({**value, "extra": extra}))

        connected(f"s3://{bucket}/sets")
        goes_round(open_vault("vault", Connections(), Settings()))

        vault = open_vault("vault", Connections(), Settings())
        [chunk, *_] = vault.find(None).chunks
        server.client().delete_object(Bucket=bucket, Key=f"sets/chunks/{chunk[:2]}/{chunk}.age")
        with pytest.raises(StateError, match="is lost"):
            vault.chunk(chunk)

        connected("s3://there-is-no-such-bucket/sets")
        missing = open_vault("vault", Connections(), Settings())
        with pytest.raises(WorkbenchError):
            Repository(Path(), new_keyring(), missing).make()
