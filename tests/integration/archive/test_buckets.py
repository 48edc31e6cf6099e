"""A shelf in a bucket, reached by a connection with keys and an endpoint."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

from tests.integration.cli.conftest import Shell
from tests.integration.connectors.files.stores import KEY, SECRET, moto


def test_archives_in_a_bucket_are_made_found_checked_and_brought_back(events: Shell) -> None:
    with moto() as server:
        bucket = f"archives-{uuid.uuid4().hex[:12]}"
        server.client().create_bucket(Bucket=bucket)
        value = {"conn_type": "workbench_files", "host": f"s3://{bucket}/old", "login": KEY, "password": SECRET}
        extra = {"endpoint_url": server.endpoint, "region": "us-east-1"}
        variables = {"AIRFLOW_CONN_SHELF": json.dumps({**value, "extra": extra}), "WORKBENCH_ARCHIVES": "shelf"}
        shell = replace(events, variables={**events.variables, **variables})
        done = shell("archive", "run", "--json")
        assert done.code == 0, done.err
        assert done.document["policies"][0]["rows"] == 1800
        checked = shell("archive", "verify", "--json")
        assert checked.document["problems"] == {}
        assert checked.document["rows"] == 1800
        [found] = shell("archive", "get", "old_events", "11", "--json").document["rows"]
        assert found["row"]["body"] == "note 11 naïve 🚀"

        client = server.client()
        keys = [one["Key"] for one in client.list_objects_v2(Bucket=bucket)["Contents"]]
        part = next(key for key in keys if key.endswith(".parquet"))
        kept = client.get_object(Bucket=bucket, Key=part)["Body"].read()
        client.delete_object(Bucket=bucket, Key=part)
        client.put_object(Bucket=bucket, Key="old/stranger.txt", Body=b"hello")
        problems = shell("archive", "verify", "--json").document["problems"]
        assert problems[""] == ["stranger.txt belongs to no archive"]
        assert len(problems) == 2
        client.put_object(Bucket=bucket, Key=part, Body=kept)

        assert shell("archive", "restore", "old_events", "--all", "--json").document["rows"] == 1800
        assert len(shell("archive", "expire", "--now", "2090-01-01", "--json").document["removed"]) == 6
        left = [one["Key"] for one in client.list_objects_v2(Bucket=bucket)["Contents"]]
        assert sorted(left) == ["old/shelf.json", "old/stranger.txt"]

        gone = {**value, "host": "s3://there-is-no-such-bucket/old", "extra": extra}
        refused = shell("archive", "run", AIRFLOW_CONN_SHELF=json.dumps(gone))
        assert refused.code == 1
        assert shell.sql("SELECT count(*) FROM events") == [(2002,)]
