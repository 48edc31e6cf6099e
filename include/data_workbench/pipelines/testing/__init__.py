"""Unit tests of pipelines: given rows through the steps and contracts of a pipeline, held against expected rows.

A test runs the stage of a real run (landing, steps, contracts) over rows from the test file: no server, no metastore,
no connection. Read `spec.py` first (what a test file may say), then `running.py`. Public names:
    files.load_cases(paths): the test files behind paths, checked; all their mistakes at once.
    running.run_cases(file): what became of each test of a file.
Nothing is imported here: lint reads test files without what it takes to run them.
"""
