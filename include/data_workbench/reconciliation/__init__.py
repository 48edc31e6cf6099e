"""Comparing what a pipeline says a store shall hold with what the store holds, and putting it right.

The caller brings both sides as Arrow batches; this room knows neither pipelines nor stores. Read `compare.py` first
(keys and values), then `vectors.py` (what a point's vector must agree with).
"""
