"""Measurements against peers: `make bench`, `python -m tests.bench --only tables --rows 200000`.

Absolute numbers say little about another machine, so figures are ratios within one run: the engine and its peer take
turns, and medians are compared. Read `__main__.py` first, then `ground.py` (servers, SQL, engine runs in a process of
their own) and one module per subject: `files.py`, `tables.py`, `graph.py`, `startup.py`, `parsing.py`,
`scheduler.py`, `vectors.py`.
"""
