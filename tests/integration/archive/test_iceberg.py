"""Archives as an Iceberg table, read by pyiceberg: what is live, through restores, schema changes and compaction."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.archive.conftest import POLICY
from tests.integration.cli.conftest import Shell
from tests.integration.connectors.files.stores import KEY, SECRET, moto

pytest.importorskip("pyiceberg", reason="the extra requirements-iceberg.txt is not installed")


@pytest.fixture
def published(events: Shell) -> Shell:
    """Two thousand events of four months, archived and told as Iceberg."""
    policy = events.folder / "dags" / "archives" / "old_events.yaml"
    policy.write_text(POLICY + "iceberg: true\n")
    done = events("archive", "run")
    assert done.code == 0, done.err
    return events


def folder(shell: Shell) -> Path:
    return shell.folder / "home" / "archives" / "iceberg" / "old_events"


def read(shell: Shell) -> Any:
    """The table as a reader without a catalogue finds it."""
    from pyiceberg.table import StaticTable

    number = (folder(shell) / "metadata" / "version-hint.text").read_text()
    return StaticTable.from_metadata(str(folder(shell) / "metadata" / f"v{number}.metadata.json"))


def agrees(shell: Shell) -> int:
    """Rows, which are those `archive query` finds."""
    rows = read(shell).scan(selected_fields=("id",)).to_arrow().column("id").to_pylist()
    text = "SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(id) AS total FROM events"
    [told] = shell("archive", "query", "old_events", text, "--json").document["rows"]
    assert (len(rows), len(set(rows)), sum(rows)) == (int(told["n"]), int(told["ids"]), int(told["total"]))
    return len(rows)


def test_pyiceberg_reads_what_is_live_and_prunes_files(published: Shell) -> None:
    from pyiceberg.expressions import EqualTo

    assert agrees(published) == 1800
    table = read(published)
    assert all("/archives/old_events/" in task.file.file_path for task in table.scan().plan_files())
    assert not (folder(published) / "data").exists()
    [row] = table.scan(row_filter=EqualTo("id", 11), selected_fields=("id", "body")).to_arrow().to_pylist()
    assert row["body"] == "note 11 naïve 🚀"
    assert len(list(table.scan(row_filter=EqualTo("id", 11)).plan_files())) < 6
    assert published("archive", "verify").code == 0


def test_restored_rows_leave_the_table_and_expired_archives_too(published: Shell) -> None:
    assert published("archive", "restore", "old_events", "--key", "4", "--key", "7").code == 0
    assert agrees(published) == 1798
    assert published("archive", "restore", "old_events", "--partition", "2021-02").code == 0
    assert agrees(published) == 1298 + (published.sql("SELECT count(*) FROM events WHERE id IN (4, 7)")[0][0] - 2)
    [first, *_] = published("archive", "list", "--json").document["archives"]
    assert published("archive", "hold", first["archive"], "--reason", "case 7").code == 0
    assert published("archive", "expire", "--now", "2090-01-01").code == 0
    assert agrees(published) == first["live"]
    assert published("archive", "restore", "old_events", "--all").code == 0
    assert read(published).scan().to_arrow().num_rows == 0
    assert published("archive", "verify").code == 0


def test_columns_that_came_went_and_grew_are_one_table(published: Shell) -> None:
    published.sql("ALTER TABLE events ADD COLUMN note text, DROP COLUMN ratio, DROP COLUMN doubled")
    published.sql("ALTER TABLE events ALTER COLUMN amount TYPE numeric(14,2)")
    published.sql(
        "INSERT INTO events (id, state, created_at, amount, note) VALUES (9001, 'closed', '2020-01-01', 5, 'n')"
    )
    assert published("archive", "run").code == 0
    rows = read(published).scan().to_arrow()
    assert rows.num_rows == 1801
    assert rows.column("note").null_count == 1800
    assert rows.column("ratio").null_count == 1
    # Another scale is another type: Iceberg cannot follow, and the table is made anew of rows written anew.
    published.sql("ALTER TABLE events ALTER COLUMN amount TYPE numeric(20,4)")
    published.sql("INSERT INTO events (id, state, created_at, amount) VALUES (9002, 'closed', '2020-01-01', 5.0001)")
    assert published("archive", "run").code == 0
    rows = read(published).scan().to_arrow()
    assert (rows.num_rows, str(rows.schema.field("amount").type)) == (1802, "decimal128(20, 4)")
    assert agrees(published) == 1802
    # What compaction writes again is as old as its rows: the types stay those of the newest.
    policy = published.folder / "dags" / "archives" / "old_events.yaml"
    policy.write_text(policy.read_text().replace("batch_rows: 400", "batch_rows: 5000"))
    assert len(published("archive", "compact", "--json").document["policies"][0]["made"]) == 2
    rows = read(published).scan().to_arrow()
    assert (rows.num_rows, str(rows.schema.field("amount").type)) == (1802, "decimal128(20, 4)")
    assert agrees(published) == 1802


def test_compaction_and_a_moved_shelf_keep_it_right(published: Shell) -> None:
    policy = published.folder / "dags" / "archives" / "old_events.yaml"
    policy.write_text(policy.read_text().replace("batch_rows: 400", "batch_rows: 5000"))
    assert len(published("archive", "compact", "--json").document["policies"][0]["made"]) == 2
    assert agrees(published) == 1800
    assert len(list(read(published).scan().plan_files())) == 4
    home = published.folder / "home" / "archives"
    moved = home.with_name("elsewhere")
    home.rename(moved)
    assert published("archive", "run", WORKBENCH_ARCHIVES=str(moved)).code == 0
    number = (moved / "iceberg" / "old_events" / "metadata" / "version-hint.text").read_text()
    from pyiceberg.table import StaticTable

    table = StaticTable.from_metadata(str(moved / "iceberg" / "old_events" / "metadata" / f"v{number}.metadata.json"))
    assert table.scan().to_arrow().num_rows == 1800


def test_a_kill_between_rows_and_table_is_made_up_for(published: Shell) -> None:
    from data_workbench.events import Event, subscribed

    class Died(Exception):
        pass

    def die(event: Event) -> None:
        if event.name == "archive.restored":
            raise Died

    with subscribed(die):
        assert published("archive", "restore", "old_events", "--partition", "2021-02").code == 1
    assert published("archive", "run").code == 0
    assert agrees(published) == 1800


def test_a_table_in_a_bucket_is_read_there(events: Shell) -> None:
    from pyiceberg.table import StaticTable

    policy = events.folder / "dags" / "archives" / "old_events.yaml"
    policy.write_text(POLICY + "iceberg: true\n")
    with moto() as server:
        bucket = f"archives-{uuid.uuid4().hex[:12]}"
        server.client().create_bucket(Bucket=bucket)
        value = {"conn_type": "workbench_files", "host": f"s3://{bucket}/old", "login": KEY, "password": SECRET}
        extra = {"endpoint_url": server.endpoint, "region": "us-east-1"}
        variables = {"AIRFLOW_CONN_SHELF": json.dumps({**value, "extra": extra}), "WORKBENCH_ARCHIVES": "shelf"}
        shell = replace(events, variables={**events.variables, **variables})
        done = shell("archive", "run")
        assert done.code == 0, done.err
        assert shell("archive", "restore", "old_events", "--key", "4").code == 0
        place = f"s3://{bucket}/old/iceberg/old_events/metadata"
        hint = "old/iceberg/old_events/metadata/version-hint.text"
        number = server.client().get_object(Bucket=bucket, Key=hint)
        keys = {"s3.endpoint": server.endpoint, "s3.access-key-id": KEY, "s3.secret-access-key": SECRET}
        table = StaticTable.from_metadata(
            f"{place}/v{number['Body'].read().decode()}.metadata.json", {**keys, "s3.region": "us-east-1"}
        )
        assert table.scan(selected_fields=("id",)).to_arrow().num_rows == 1799
        assert shell("archive", "verify").code == 0
