"""How connections are over time: examined, judged, remembered, and told when they change.

Read `watching.py` first: `watch(...)` examines one connection, keeps what it found in the metastore and stores the
alert of a change beside it. `examine` alone asks and remembers nothing; `judge.py` says what the answers mean.
"""

from data_workbench.health.examining import Examination, examine
from data_workbench.health.watching import watch

__all__ = ["Examination", "examine", "watch"]
