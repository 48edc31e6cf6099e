"""A sample ODRAS installation: everything about ODRAS that is not YAML. The workbench itself never imports it.

`schema` is ODRAS's PostgreSQL schema in words of our own, `seed` fills it with real texts and known faults, `sources`
lays out the files that the shipped pipelines read, `weaknesses` reads the CWE catalogue (see NOTICE-CWE.txt).
"""
