"""One folder per store: how to check it, discover it, read it and write it.

Read `base.py` first: the contract. `connections.py` turns a connection id into an address and secrets, `registry.py`
finds the connector of a connection type without importing any driver. Adding a store is one folder and one line in
the registry.
"""
