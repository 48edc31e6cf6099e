"""Steps as one statement of PostgreSQL, where every one of them means there what it means in DuckDB.

Whatever might not is a reason not to push, told by `workbench plan`; what only turns out while rows are read (a value
that cannot be computed) ends the attempt, and the run goes the staged way, which knows what to do with such a row.
Read `statement.py` first, then `expressions.py` and `values.py`.
"""
