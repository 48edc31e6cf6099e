"""A repository in a bucket, reached by a connection with keys and an endpoint."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from tests.integration.connectors.files.stores import KEY, SECRET, moto
from tests.unit.backup.conftest import Repository, new_keyring
from tests.unit.backup.test_places import goes_round

from data_workbench.backup.content import Reader, Writer
from data_workbench.backup.objects import STREAM, ObjectExport, ObjectRestore
from data_workbench.backup.vault import open_vault
from data_workbench.connectors.connections import Connection, Connections
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


ODD_KEYS = (
    "plain", "a//b", "a/b", "/lead", "../up", "x/../y", "x/./z", " space ", "100%", "%2F", "ü/é", "u\u0308", "q?x=1#f",
    "a*b[1]", "back\\slash", "emoji😀", "tab\t", "trail.", "s3://x/y", "Foo::Bar", "~home", "$HOME", "{brace}", "dir/x",
)  # fmt: skip


def test_objects_of_any_key_come_back_and_none_is_taken_for_another(tmp_path: Path) -> None:
    with moto() as server:
        client, bucket = server.client(), f"odd-{uuid.uuid4().hex[:12]}"
        client.create_bucket(Bucket=bucket)
        for key in ODD_KEYS:
            client.put_object(Bucket=bucket, Key=f"root/{key}", Body=key.encode())
        client.put_object(Bucket=bucket, Key="root/dir/", Body=b"")
        client.put_object(Bucket=bucket, Key="rooted", Body=b"a neighbour")

        def found() -> dict[str, str]:
            return {one["Key"]: one["ETag"] for one in client.list_objects_v2(Bucket=bucket)["Contents"]}

        before = found()
        extra = {"endpoint_url": server.endpoint, "region": "us-east-1"}
        host = f"s3://{bucket}/root"
        connection = Connection(id="odd", kind="workbench_files", host=host, login=KEY, password=SECRET, extra=extra)
        vault = open_vault(str(tmp_path / "backups"), Connections(lambda _: None), Settings())
        repository = Repository(tmp_path / "backups", new_keyring(), vault)
        manifest = repository.make({"other": b"x"})
        export = ObjectExport(connection, Settings())
        export.open()
        export.mark()
        with Writer(vault, repository.keyring, {}) as writer:
            stored = export.write(writer)
        export.close()
        assert (stored.streams[STREAM].count, stored.moved) == (len(ODD_KEYS), False)
        assert stored.details == {"links_left_out": 0, "folders_left_out": 1, "gone_meanwhile": 0}

        for key in list(before)[::2]:
            if key != "rooted":
                client.put_object(Bucket=bucket, Key=key, Body=b"ransom")
        client.put_object(Bucket=bucket, Key="root/../intruder", Body=b"x")
        kept = manifest.model_copy(update={"chunks": writer.written})
        reader = Reader(vault, repository.keyring, kept)
        restore = ObjectRestore(connection, stored, reader, Settings())
        restore.check()
        restore.restore()
        assert found() == {**before, "root/dir/": found()["root/dir/"]}
