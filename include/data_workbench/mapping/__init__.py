"""Where rows go: tables, files, nodes, relationships and points, and how a row becomes one of them.

`targets.py` has the shapes every destination understands. The Neo4j and Qdrant value mappings (types a store lacks,
each with one documented form that reads back equal) stand in `graph_values.py` and `payload_values.py`.
"""
