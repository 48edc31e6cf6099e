"""A shelf of archives without a server: what `archive run` would have written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from data_workbench.archive import Manifest, Policy, Shelf, parts
from data_workbench.archive.checking import Expected
from data_workbench.archive.cold import ContentSum
from data_workbench.archive.drafting import definition_of, part_facts
from data_workbench.archive.manifest import FORM, FORMAT, ColumnFacts, Origin, Written
from data_workbench.archive.policy import Age, Compression
from data_workbench.artifacts.places import LocalPlace
from data_workbench.audit import Keys, open_keys
from data_workbench.settings import Settings

POLICY = Policy(
    version=1,
    archive="olds",
    connection="site",
    dataset="public.olds",
    age=Age(column="at", older_than="1y"),
    retention="7y",
    attributes=["kind"],
)
COMPRESSION = Compression(level=3, row_group=1_000)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def new_keys(folder: Path, name: str = "key.pem") -> Keys:
    found = open_keys(Settings(audit_key=str(folder / name)), makes=True)
    assert found is not None
    return found


def rows(first: int, count: int) -> pa.Table:
    ids = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "kind": [f"kind {one % 3}" for one in ids],
            "at": pa.array([NOW] * count, pa.timestamp("us", "UTC")),
        }
    )


def put_archive(shelf: Shelf, number: int) -> Manifest:
    """An archive of two parts."""
    archive = f"{NOW:%Y%m%dT%H%M%SZ}-{number:012x}"
    total, facts = ContentSum(), []
    for first in (number * 1_000, number * 1_000 + 500):
        table = rows(first, 500)
        content = parts.encoded(table, ["id"], COMPRESSION)
        name = shelf.put_part("olds", archive, content)
        facts.append(part_facts(table, name, len(content), total.add(table), "id", POLICY))
    total.close()
    manifest = Manifest(
        form=FORM,
        format=FORMAT,
        archive=archive,
        shelf=shelf.id,
        policy="olds",
        definition=definition_of(POLICY),
        partition="2024-01",
        created=NOW,
        origin=Origin(connection="site", stream="public.olds", database="d", key=("id",)),
        columns=tuple(ColumnFacts(name=one.name, native="", arrow=str(one.type)) for one in rows(0, 1).schema),
        rows=1_000,
        content=total.text,
        source_content="1000:0",
        written=Written(codec="zstd", level=3, row_group=1_000, raw_bytes=1, percent=100),
        parts=tuple(facts),
        retained_until=POLICY.retained_until(NOW),
        legal_hold=False,
    )
    shelf.publish(manifest)
    return manifest


def expected(shelf: Shelf, manifests: list[Manifest]) -> list[Expected]:
    """What the metastore would know of them."""
    return [Expected("olds", one.archive, shelf.manifest_digest("olds", one.archive) or "") for one in manifests]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf(LocalPlace(tmp_path / "shelf"), new_keys(tmp_path))
    made.prepare()
    return made
