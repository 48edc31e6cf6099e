"""What the API connectors (`rest`, `graphql`) share: talking HTTP with patience, and JSON records to rows.

Read `client.py` first: one request, with its credentials, its waiting and its errors as ours. `auth.py` knows who we
are, `patience.py` how long to wait, `answers.py` how much of a body to believe. `paths.py`, `columns.py` and
`reading.py` turn answers into batches, `bindings.py` puts a pipeline's params into requests, `cursors.py` says where an
incremental read begins and ends. Nothing here is a connector of its own.
"""
