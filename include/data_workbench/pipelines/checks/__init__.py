"""Lint: whether the names, expressions and values of a pipeline file fit together. No server, no data, no connection.

Read `columns.py` first (which columns are known where). Public names:
    lint(definition): every finding of one definition.
    load_checked(path): load and lint, raising what was found.
    lint_paths(paths): findings of files and folders, with the definitions that could be read.
"""

from data_workbench.pipelines.checks.linting import files_of, lint, lint_paths, load_checked

__all__ = ["files_of", "lint", "lint_paths", "load_checked"]
