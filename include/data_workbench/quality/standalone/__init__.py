"""Contracts of their own: what any dataset in any store promises, whether a pipeline writes it or not.

Read `model.py` first (what a file may say), then `evaluation.py` (how it is held against a store). Each check is
compiled to a query that finds what breaks it: `rows.py` for rows of any store in DuckDB, `graph.py` in Cypher where the
graph itself is asked.
"""

from data_workbench.quality.standalone.evaluation import Evaluation, Reader
from data_workbench.quality.standalone.model import StandaloneContract

__all__ = ["Evaluation", "Reader", "StandaloneContract"]
