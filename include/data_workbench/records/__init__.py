"""What flows between stores: Arrow batches, the marks they carry, and how rows are accounted for.

Read `marks.py` first (the reserved columns of a staged batch), then `accounting.py` (the balance of a run) and
`types.py` (logical types Arrow does not have, carried as field metadata).
"""
