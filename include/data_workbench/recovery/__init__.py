"""What needs whole servers, or pipelines and backups together.

Public names:
    Drill: a set restored into servers that live for this only, and compared.
"""

from data_workbench.recovery.drills import Drill, DrillReport

__all__ = ["Drill", "DrillReport"]
