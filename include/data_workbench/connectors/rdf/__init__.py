"""RDF over SPARQL 1.1 (Apache Jena Fuseki first), connection type `workbench_rdf`.

Read `client.py` first (one place that talks to the server), then `source.py` with `streams.py` (what a stream's name
means), `reading.py` (triples to rows) and `columns.py` (a class's properties as columns), and `destination.py` with
`writing.py` (rows to triples, compared before they are written) and `updates.py` (what one request changes).
"""
