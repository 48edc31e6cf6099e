"""PostgreSQL: COPY both ways, merge in one transaction with its checkpoint, incremental reads that lose no late commit.

Read `source.py` and `destination.py` first. Below them, by concept:
`client.py` (connections, and the one place where driver errors become ours), `names.py` (quoted names),
`catalogue.py` (what a relation is), `types.py` (PostgreSQL types to Arrow and back), `redaction.py`,
`copy_out.py`/`wire.py`/`binary_types.py`/`decode.py` (COPY to Arrow), `copy_in.py`/`encode.py` (Arrow to COPY),
`where.py` (of sources), `late_commits.py` (cursor positions), `tables.py` (creating and evolving), `merge.py`,
`writer.py`, `ownership.py`, `checkpoints.py` (schema `_workbench`), `fused.py` (COPY straight into COPY).
PostgreSQL 14 and later.
"""
