"""Files: Parquet, CSV, JSONL and Arrow over fsspec, connection type `workbench_files`.

Read `client.py` first (paths stay inside the root), then `source.py` with `reading.py`, and `destination.py` with
`writing.py` (how a load becomes visible at once), `folder.py` (the manifest) and `standing.py` (merge by key).
Capabilities: append (folder), replace (one file by rename, a folder by manifest switch), merge by rewriting.
"""
