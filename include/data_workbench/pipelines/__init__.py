"""The pipeline language and its runs: spec -> plan -> stage -> load -> reconcile.

Read `spec.py` first (what a YAML file may say), then `definition.py` (loading a file with places for every mistake),
`expansion.py` (what it takes from templates, defaults and its environment),
`resolve.py` (what feeds what), `checks` (lint: whether names, columns and expressions fit together, without a server),
`planning.py` (what a file means against live stores; `plan.py` is what comes out) and `run.py` (doing it). `testing`
runs unit tests of pipelines.
"""
