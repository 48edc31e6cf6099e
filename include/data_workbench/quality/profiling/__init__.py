"""What stands in a dataset, in numbers: one pass over Arrow batches, whatever the store.

Read `scan.py` first (the pass), then `columns.py` (what is asked of a column). `vectors.py` and `shape.py` add what
only a collection or a graph has, `comparing.py` sets two profiles against each other, `suggesting.py` makes a contract
of one. A profile is JSON from the beginning: it is kept, shown and compared as it is.
"""

from data_workbench.quality.profiling.comparing import compare
from data_workbench.quality.profiling.scan import Asked, profile
from data_workbench.quality.profiling.suggesting import suggest

__all__ = ["Asked", "compare", "profile", "suggest"]
