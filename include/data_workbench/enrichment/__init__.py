"""Asking the outside about rows: APIs, the graph's neighbours, the nearest vectors, and models that embed texts.

Read `spec.py` first (what a step may say), then `asking.py` (who asks, how often, and what becomes of no answer).
Public names:
    Enrich, Embed: what a pipeline file says.
    Outside: answers the questions of a run's steps.
"""
