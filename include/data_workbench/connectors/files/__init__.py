"""Files: eight formats, compressed or in archives, over seven file systems; connection type `workbench_files`.

To read, begin with `streams.py` (what a stream's name stands for), `source.py`, `reading.py` (one file); `formats/` has
a module per format and `table.py`, which knows them all. To write, begin with `destination.py` and `writing.py`,
`publication.py` (how a file becomes visible at once), `folder.py` (the manifest) and `standing.py` (merge by key).
`client.py` keeps paths inside the root, `drivers.py` is the table of file systems, `packing.py` holds what expands.
Capabilities: append (folder), replace (one file at once, a folder by manifest switch), merge by rewriting.
"""
