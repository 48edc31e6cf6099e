"""OpenLineage events made from the plan: what a stage read, what it wrote, and which column came from which.

Nothing is parsed out of SQL or logs. Read `naming.py` first (how datasets are called), then `events.py` (from plain
data to an event of core spec 2-0-2) and `log.py` (events as lines of a file, never in the way of a run).
Values never reach an event; nor do columns that hold ODRAS's secrets, nor messages that are not our own.
"""

from data_workbench.lineage.events import ColumnOrigin, LineageDataset, StageRun, build_event
from data_workbench.lineage.log import LineageLog
from data_workbench.lineage.naming import DatasetName, source_name, target_name

__all__ = [
    "ColumnOrigin",
    "DatasetName",
    "LineageDataset",
    "LineageLog",
    "StageRun",
    "build_event",
    "source_name",
    "target_name",
]
