"""Spark as the engine: the statements of a plan, run by a cluster, with the results DuckDB gives.

A plan is DuckDB SQL. `engine.py` takes it where DuckDB's connection would and has it run by Spark: `statements.py`
writes queries again in Spark's SQL, `native.py` the expressions that mean the same there, and what does not, or not
for sure (regular expressions, casts of text, formats of times), is computed row by row by DuckDB itself on the
executors (`worker.py`). So counts, quarantine and lineage are those of the plan. Read `engine.py` first.
"""
