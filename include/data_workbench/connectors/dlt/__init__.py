"""Sources written for dlt, run in this process; connection type `workbench_dlt`, an optional extra.

Read `extraction.py` first (a source found, and its resources run with their state), then `source.py` (their items as
batches). Without the package `dlt` every use says what to install.
"""
