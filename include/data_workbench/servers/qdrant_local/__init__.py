"""A local Qdrant for trying and testing only: HTTP over the real engine in process (`qdrant-edge-py`).

No registry ships Qdrant's server. This one speaks the part of its REST API that `QdrantClient(url=...)` uses, in the
same words and error shapes; what it does not know it answers with 501, by name. Vectors of cosine collections are
normalised on store, as the real server does. Searches look at every vector, so they are exact and need no index.
Not here: gRPC, clusters, snapshots, quantisation, multivectors, recommendation and fusion queries.

Read `app.py` first (the routes), then `store.py` (collections and aliases on disk).
Run: `python -m data_workbench.servers.qdrant_local --data FOLDER --port PORT`.
"""

TITLE = "Qdrant-compatible local server for trying and testing only (engine: qdrant-edge)"
API_VERSION = "1.20.0"
"""The version of Qdrant's REST API that the answers follow; clients compare it with their own."""
