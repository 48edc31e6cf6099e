"""Qdrant: points with vectors and payloads, connection type `qdrant`.

Read `client.py` first (one place that talks to the server and translates its errors), then `source.py` with
`payload_columns.py`, and `destination.py` with `writing.py` (what is embedded, what is only compared) and
`collections.py` (creating, models, the alias switch of a replace).
"""
