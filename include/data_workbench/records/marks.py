"""Reserved columns that travel with rows through a run.

`OP` says what a row asks of a `merge` destination; everywhere else only `UPSERT` rows count.
`ORDINAL` is the position in which a source handed the row over, unique within source and run.
No column of a user may begin with `_wb_`.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "_wb_"
OP: Final = "_wb_op"
ORDINAL: Final = "_wb_ordinal"
OWNED: Final = "_wb_owned"

UPSERT: Final = "u"
"""The row shall stand in the destination with these values."""
TOMBSTONE: Final = "d"
"""The source says the row is deleted; it carries its key, other columns may be null. Counts in `in` and `out`."""
RETRACTION: Final = "f"
"""The row is filtered out now: a merge destination deletes its key if it was loaded earlier. Counts as `filtered`."""

HELD: Final = "h"
"""The row was quarantined: its key keeps the last valid state. Destinations never see it, reconciliation does."""

HIDDEN: Final = "•••"
"""What is shown, and kept, in place of a classified value."""

# Stamps a connector leaves on what it writes, as properties or payload keys.
STAMP_PIPELINE: Final = "_wb_pipeline"
STAMP_RUN: Final = "_wb_run"
STAMP_MODEL: Final = "_wb_model"
STAMP_TEXT_HASH: Final = "_wb_text_hash"
