"""Steps of a pipeline: from their definition to one DuckDB plan, with counts and column lineage.

Read `spec.py` first (what a step may say).
"""
