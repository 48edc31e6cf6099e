"""Watching what others write: changes of tables, nodes and points, whoever made them, as entries of the journal.

    definition   the file of watches: which streams, and how each is watched
    log          out of PostgreSQL's log (pgoutput), by a slot of ours: every change, in the order of commits
    comparing    by reading again what a cursor says is new, or everything, and holding it against what was seen last
    noting       from a change to a row of the journal: hashes, values where they are wanted, classified ones masked
    watcher      one pass over all watches: begins new ones, ends those that are gone from the file

Read `definition.py` first, then `watcher.py`.
"""

from data_workbench.watching.definition import WatchedStream, Watches
from data_workbench.watching.watcher import Pass, Watcher

__all__ = ["Pass", "WatchedStream", "Watcher", "Watches"]
