"""Rows that are past their time: moved from PostgreSQL to signed Parquet, still found, and brought back when asked for.

A *shelf* is a folder or a URL; an *archive* on it is up to `batch_rows` rows of one partition of one table:

    shelf.json                                       what this is, and its id
    archives/<policy>/<archive>/<sha256>.parquet     parts, sorted by key, named by their content
    archives/<policy>/<archive>/<sha256>.jsonl.zst   what the rows had in graph and vectors
    archives/<policy>/<archive>/manifest.json        signed, written last: an archive without one was never finished

Which rows of an archive count (are *live* there, and no longer in the table) stands in schema `_workbench` of the
table's own database, written in the transaction that deletes or restores them (`ledger.py`): so a row is in one place
at every moment that anybody can see, and a database that goes back in time takes that knowledge with it.

Read `policy.py` first, then `running.py` (the protocol), `admitting.py`, `source.py` and `removal.py` (the table),
`drafting.py`, `shelf.py` and `manifest.py` (what is written), `entities.py` (graph and vectors), `cold.py`, `keys.py`
and `finding.py` (reading), `restoring.py`, `returning.py` and `fitting.py` (the way back), `checking.py`,
`compaction.py` with `grouping.py`, and `expiry.py`.

Public names:
    Policy: what is archived, when, and for how long.
    Shelf: where archives lie.
    Manifest: a finished archive.
"""

from data_workbench.archive.manifest import Manifest
from data_workbench.archive.policy import Policy
from data_workbench.archive.shelf import Shelf

__all__ = ["Manifest", "Policy", "Shelf"]
