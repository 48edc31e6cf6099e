"""One small module per file format, and one table that knows them all.

Read `table.py` (which formats there are, what each can do) and `opening.py` (what a reader is given) first. A module
has `read(opening) -> Batches` and, if the format is written, `write(handle, schema) -> Encoder`.
"""
