"""The audit trail told, checked, signed, handed out and sealed. Entries are made in `metastore.audit`.

    recorded      tells of something done outside the metastore, before and after it
    verify        finds the entry at which the chain was edited, cut, filled up or put in another order
    open_keys     the Ed25519 pair that signs heads; `Heads` is the file they are kept in, outside the database
    write_export  entries as JSON lines, which prove themselves with their head
    seal_before   retention: old entries handed out and removed, and an entry that vouches for them

Read `verifying.py` first.
"""

from data_workbench.audit.exporting import read_export, write_export
from data_workbench.audit.heads import Head, Heads, Keys, open_keys
from data_workbench.audit.recording import recorded
from data_workbench.audit.sealing import Sealed, seal_before
from data_workbench.audit.verifying import Problem, Report, verify

__all__ = [
    "Head",
    "Heads",
    "Keys",
    "Problem",
    "Report",
    "Sealed",
    "open_keys",
    "read_export",
    "recorded",
    "seal_before",
    "verify",
    "write_export",
]
