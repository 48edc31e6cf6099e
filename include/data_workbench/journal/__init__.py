"""The journal: which keys the workbench wrote into which store, by which run and version of a pipeline, in which order.

A part of a load is one entry: noted before it is written, and again once it is. Its keys travel as Arrow. What a
comparison reads back afterwards gives each key the hash of its row. Recovery brings graphs and vectors forward by it,
lineage traces records through it.

Read `reading.py` first: `Journal` is the interface for everyone who asks. `content.py` is the form of an entry's keys.
The rows are `metastore.journal`.

Public names:
    Journal: asks the journal.
    Change: what happened to one key.
    Keys: keys of a dataset, and what was last written of each.
"""

from data_workbench.journal.reading import Change, Journal, Keys

__all__ = ["Change", "Journal", "Keys"]
