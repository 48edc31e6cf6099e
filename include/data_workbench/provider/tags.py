"""The tags of the workbench's DAGs, in one place; a pipeline's own `tags` stand beside them."""

from __future__ import annotations

from enum import StrEnum


class Tag(StrEnum):
    """What a DAG is."""

    PIPELINE = "pipeline"
    RECONCILIATION = "reconciliation"
    BACKFILL = "backfill"
    HOUSEKEEPING = "housekeeping"
    BROKEN = "broken"
    """Its file has mistakes; the DAG's page lists them."""
