"""A metastore of this version, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from data_workbench.metastore import Metastore
from data_workbench.metastore.tables import metadata

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase


@pytest.fixture(scope="module")
def upgraded(postgres: PostgresDatabase) -> Iterator[Metastore]:
    with Metastore.open(postgres.dsn) as store:
        store.upgrade()
        yield store


@pytest.fixture
def store(upgraded: Metastore) -> Metastore:
    with upgraded.transaction() as connection:
        connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)} CASCADE"))
        connection.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))
    return upgraded
