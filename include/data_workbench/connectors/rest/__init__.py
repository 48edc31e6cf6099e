"""REST APIs that answer JSON, as sources described in YAML alone.

Read `options.py` first: what a pipeline file says below `rest`. `pagination.py` goes from page to page, `resources.py`
makes requests of a resource and its parents, `source.py` is the connector. The client is in `connectors/http`.
"""
