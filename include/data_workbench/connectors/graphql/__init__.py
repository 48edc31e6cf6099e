"""GraphQL APIs as sources: a query in YAML, Relay's pagination, and streams found by introspection.

Read `options.py` first: what a pipeline file says below `graphql`. `documents.py` checks queries, `introspection.py`
writes them, `client.py` knows GraphQL's errors, `source.py` is the connector. HTTP is in `connectors/http`.
"""
