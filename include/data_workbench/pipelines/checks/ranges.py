"""Reading in ranges: refused where the file alone tells that the store, or this source, cannot be."""

from __future__ import annotations

from data_workbench.language.spec_source import Source
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.files import reads_files
from data_workbench.pipelines.checks.report import Report
from data_workbench.pipelines.streams import is_pattern

_SPLIT = ("postgresql", "postgres")
"""Schemes of URLs whose stores split a read; the type behind a connection's id is known when a run is planned."""


def check_ranges(report: Report, path: Path, source: Source) -> None:
    """`parallel` and `ranges` need a store that can split a read; they are two ways of the same thing."""
    for option in ("parallel", "ranges"):
        if getattr(source, option) > 1:
            _check_store(report, (*path, option), source)
    if source.ranges == 1:
        return
    if source.parallel > 1:
        hint = "`ranges` for tasks of their own, on several machines; `parallel` within one task"
        report.say((*path, "ranges"), "a source is read in `parallel` or in `ranges`, not in both", hint=hint)
    if is_pattern(source.stream):
        hint = "leave `ranges` out, or read the large ones by name, each as a source of its own"
        report.say((*path, "ranges"), f"{source.stream!r} stands for many streams, each read in one range", hint=hint)


def _check_store(report: Report, path: Path, source: Source) -> None:
    scheme, is_url, _ = source.connection.partition("://")
    api = source.rest is not None or source.graphql is not None
    if api or (is_url and scheme not in _SPLIT) or (not is_url and reads_files(source.connection, source.stream)):
        what = "an API is" if api else "files are" if reads_files(source.connection, source.stream) else f"{scheme} is"
        report.say(
            path,
            f"{what} read in one range",
            hint=f"leave `{path[-1]}` out; tables of PostgreSQL can be read in ranges",
        )
