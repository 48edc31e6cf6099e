"""The pipeline language and its runs: spec -> plan -> stage -> load -> reconcile.

Read `spec.py` first (what a YAML file may say), then `definition.py` (loading a file with places for every mistake),
`plan.py` (what a file means against live stores) and `run.py` (doing it).
"""
