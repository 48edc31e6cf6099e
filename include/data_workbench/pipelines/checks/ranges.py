"""Reading in ranges: refused where the file alone tells that the store cannot."""

from __future__ import annotations

from data_workbench.pipelines.checks.files import reads_files
from data_workbench.pipelines.checks.report import Report
from data_workbench.pipelines.spec import Source
from data_workbench.pipelines.yaml_tree import Path

_SPLIT = ("postgresql", "postgres")
"""Schemes of URLs whose stores split a read; the type behind a connection's id is known when a run is planned."""


def check_ranges(report: Report, path: Path, source: Source) -> None:
    """`parallel` needs a store that can split a read, and a first read or a full one to be of use."""
    if source.parallel == 1:
        return
    scheme, is_url, _ = source.connection.partition("://")
    api = source.rest is not None or source.graphql is not None
    if api or (is_url and scheme not in _SPLIT) or (not is_url and reads_files(source.connection, source.stream)):
        what = "an API is" if api else "files are" if reads_files(source.connection, source.stream) else f"{scheme} is"
        report.say(
            (*path, "parallel"),
            f"{what} read in one range",
            hint="leave `parallel` out; tables of PostgreSQL can be read in ranges",
        )
