"""The audit trail told, checked, signed, handed out and sealed. Entries are made in `metastore.audit`.

    recorded      tells of something done outside the metastore, before and after it
    verify        finds the entry at which the chain was edited, cut, filled up or put in another order
    open_keys     the Ed25519 pair that signs heads; `Heads` is the file they are kept in, outside the database
    export_signed entries as JSON lines, which prove themselves with their head; `sign_newest` makes one
    seal_before   retention: old entries handed out and removed, and an entry that vouches for them

Read `verifying.py` first.
"""

from data_workbench.audit.exporting import Exported, export_signed, read_export, sign_newest, write_export
from data_workbench.audit.heads import Head, Heads, Keys, open_keys
from data_workbench.audit.recording import recorded
from data_workbench.audit.sealing import Sealed, seal_before
from data_workbench.audit.verifying import Problem, Report, verify

__all__ = [
    "Exported",
    "Head",
    "Heads",
    "Keys",
    "Problem",
    "Report",
    "Sealed",
    "export_signed",
    "open_keys",
    "read_export",
    "recorded",
    "seal_before",
    "sign_newest",
    "verify",
    "write_export",
]
