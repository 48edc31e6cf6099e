"""The `workbench` command: one module per group of verbs, `answer.py` for how they all answer.

Every command takes `--json` (one JSON document on stdout, nothing else there), exits 0 for success, 1 for a failed run
or check, 2 for wrong usage or a broken file, and says errors on stderr in one readable block.
"""

from data_workbench.cli.main import main

__all__ = ["main"]
