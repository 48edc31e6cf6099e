"""What DAGs that look after the workbench itself have in common: one run at a time, none made up for, all retried."""

from __future__ import annotations

from typing import Any

from data_workbench.provider.retries import RETRIES
from data_workbench.provider.tags import Tag

HOUSEKEEPING: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
    "tags": [Tag.HOUSEKEEPING.value],
    "default_args": {"owner": "data-workbench", **RETRIES},
}
