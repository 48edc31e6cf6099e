"""Singer: taps as sources, and files of Singer messages; connection type `workbench_singer`.

Read `messages.py` first (lines to messages), then `schemas.py` (JSON Schema to columns), `tap.py` (the program that is
run) and `source.py`.
Format: https://hub.meltano.com/singer/spec
"""
