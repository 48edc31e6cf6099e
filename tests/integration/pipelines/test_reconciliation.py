"""What somebody did to a table or a collection behind our back is found, mended, and then clean."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

TEXTS = """
version: 1
pipeline: texts
sources: {texts: {connection: pg, stream: public.texts, key: id, cursor: {column: seen}}}
destinations:
  table: {connection: pg, table: public.texts_copy, key: id}
  points: {connection: vectors, collection: texts, key: id, embed: {text: body, model: %s}, payload: [id, seen]}
"""
TEXT = TEXTS % "hashing-384"


@pytest.fixture
def texts(site: Site) -> Site:
    site.sql("CREATE TABLE texts (id int PRIMARY KEY, body text, seen int, about jsonb)")
    site.sql("""INSERT INTO texts SELECT n, 'the text number ' || n, n, '{"z": 1.50, "a": [1e2]}'
                FROM generate_series(1, 60) n""")
    return site


def test_rows_changed_deleted_and_added_by_hand(texts: Site) -> None:
    texts.run(TEXT)
    texts.sql("UPDATE texts_copy SET body = 'by hand' WHERE id = 1")
    texts.sql("""UPDATE texts_copy SET about = '{"a": [100], "z": 1.5}' WHERE id = 5""")  # the same document
    texts.sql("DELETE FROM texts_copy WHERE id = 2")
    texts.sql("INSERT INTO texts_copy (id, body) VALUES (900, 'foreign')")
    told = texts.reconcile(TEXT)["destinations"]["table"]
    assert (told["stale"], told["missing"], told["surplus"], told["foreign"]) == (1, 1, 0, 1)
    mended = texts.reconcile(TEXT, repair=True, delete=True)
    assert (mended["clean"], mended["destinations"]["table"]["repaired"]) == (True, 2)
    assert texts.reconcile(TEXT)["clean"]
    assert texts.one("SELECT body FROM texts_copy WHERE id = 900") == "foreign"


def test_a_source_row_changed_without_its_cursor_is_stale_everywhere(texts: Site) -> None:
    texts.run(TEXT)
    texts.sql("UPDATE texts SET body = 'changed silently' WHERE id = 7")
    told = texts.reconcile(TEXT)["destinations"]
    assert told["table"]["stale"] == 1
    assert told["points"]["vectors"] == {"wrong_model": 0, "stale": 1}
    assert texts.reconcile(TEXT, repair=True)["clean"]
    assert texts.reconcile(TEXT)["clean"]


def test_a_vector_changed_with_its_stamps_intact_is_found_every_time_until_mended(texts: Site) -> None:
    from qdrant_client.models import PointVectors

    texts.run(TEXT)
    before = texts.stored("texts", vectors=True)
    chosen = next(key for key, record in before.items() if record.payload["id"] == 9)
    other = next(record.vector for record in before.values() if record.payload["id"] == 30)
    texts.points.update_vectors("texts", [PointVectors(id=chosen, vector=other)])
    for _ in range(2):
        told = texts.reconcile(TEXT)
        assert told["destinations"]["points"]["vectors"] == {"wrong_model": 0, "stale": 1}
        assert not told["clean"]
    assert texts.reconcile(TEXT, repair=True)["clean"]
    assert texts.reconcile(TEXT)["clean"]
    assert texts.stored("texts", vectors=True)[chosen].vector == pytest.approx(before[chosen].vector, abs=1e-5)


def test_points_deleted_restamped_and_foreign(texts: Site) -> None:
    from qdrant_client.models import PointIdsList, PointStruct

    texts.run(TEXT)
    by_id = {record.payload["id"]: key for key, record in texts.stored("texts", vectors=True).items()}
    texts.points.delete("texts", PointIdsList(points=[by_id[3]]))
    texts.points.set_payload("texts", {"_wb_model": "another-model"}, points=[by_id[4]])
    texts.points.set_payload("texts", {"seen": 4711}, points=[by_id[5]])
    texts.points.upsert("texts", [PointStruct(id=123456, vector=[0.1] * 384, payload={"id": 123456})])
    told = texts.reconcile(TEXT)["destinations"]["points"]
    assert (told["missing"], told["stale"], told["foreign"]) == (1, 1, 1)
    assert told["vectors"] == {"wrong_model": 1, "stale": 0}
    mended = texts.reconcile(TEXT, repair=True, delete=True)
    assert mended["clean"], mended
    assert texts.reconcile(TEXT)["clean"]
    assert 123456 in texts.stored("texts")


def test_a_model_of_another_size_is_refused(texts: Site) -> None:
    texts.run(TEXT)
    other = TEXTS % "hashing-64"
    document, error = texts.try_run(other)
    assert document["state"] == "failed"
    assert "vectors of size 384" in error.message


def test_a_full_comparison_of_many_rows_needs_little_memory(site: Site) -> None:
    rows = 300_000
    site.sql(
        f"CREATE TABLE wide AS SELECT n AS id, md5(n::text) AS a, repeat(md5(n::text), 6) AS b "
        f"FROM generate_series(1, {rows}) n"
    )
    site.sql("ALTER TABLE wide ADD PRIMARY KEY (id)")
    text = """
    version: 1
    pipeline: wide
    sources: {wide: {connection: pg, stream: public.wide}}
    destinations: {table: {connection: pg, table: public.wide_copy, key: id}}
    reconcile: {after_load: none}
    """
    site.run(text)
    site.sql("UPDATE wide_copy SET a = 'x' WHERE id = 77")
    script = (
        "import sys; from data_workbench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        # Not getrusage: what it tells begins with the memory of the process that forked this one.
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(peak.split()[1]) // 1024, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "reconcile", site.file(text), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=site.environment(),
        cwd=site.folder,
        timeout=280,
    )
    assert '"stale": 1' in done.stdout
    assert int(done.stderr.splitlines()[-1]) < 900, "MiB"
