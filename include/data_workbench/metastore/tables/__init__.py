"""The metastore's tables, as SQLAlchemy sees them. The migrations make them; a test compares the two."""

from data_workbench.metastore.tables import (  # noqa: F401  # each adds its tables to `metadata`
    access,
    backfills,
    lineage,
    quality,
    records,
    runs,
    safekeeping,
    stores,
    telling,
    watching,
)
from data_workbench.metastore.tables.base import metadata

__all__ = ["metadata"]
