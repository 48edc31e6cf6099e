"""SQL databases: SQLite (`sqlite`), DuckDB (`duckdb`) and MySQL or MariaDB (`mysql`), as source and destination.

Read `dialect.py` first: all that differs between databases. `sqlite.py`, `duck.py` and `mysql.py` are the three
dialects: connecting, the catalogue, types, bulk loading, errors. Everything else is written once: `selecting.py` and
`source.py` read, `destination.py`, `tables.py` and `writer.py` write, `state.py` keeps checkpoints and ownership beside
the data, `values.py` has the one form of each type where a driver knows less than Arrow.

Another database is another dialect, a config model and a line in the registry.
"""
