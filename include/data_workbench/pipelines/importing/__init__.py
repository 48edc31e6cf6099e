"""Mappings that ODRAS keeps in its own tables, read as `map` steps and pipelines of ours.

`rows.py` reads the tables, `reading.py` (with `vocabulary.py`, `ontology.py` and `rules.py`) makes lines of a mapping
and tells what cannot be carried, `renames.py` reads what became of properties, `writing.py` writes YAML. Nothing is
read at run time: see docs/decisions/0040-imported-mappings.md.
"""
