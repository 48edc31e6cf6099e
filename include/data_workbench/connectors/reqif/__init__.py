"""ReqIF 1.2: requirements as tools exchange them, connection type `workbench_reqif`; reading only.

Read `source.py` first (what the streams are), then `document.py` (XML in bounded memory, without entities),
`definitions.py` (types and attributes as columns), `elements.py` (objects, relations, hierarchy as rows) and
`places.py` (files and `.reqifz` archives). Format: https://www.omg.org/spec/ReqIF/1.2
"""
