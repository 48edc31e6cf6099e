"""Connections and paths written in a file: no secrets, nothing that leads out of a folder."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from data_workbench.connectors.connections import FILE_SCHEMES, has_secret
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.report import Report

_ID = re.compile(r"[A-Za-z0-9_.#!()\-]+")
_SCHEMES = (
    *(*FILE_SCHEMES, "postgresql", "postgres", "bolt", "neo4j", "http", "https"),
    *("singer", "reqif", "sqlite", "duckdb", "mysql"),
)


def check_connection(report: Report, path: Path, connection: str) -> None:
    """An id, or a URL of a known scheme without a password. What is refused is not repeated."""
    if "://" not in connection:
        if not _ID.fullmatch(connection):
            report.say(path, "a connection is named by its id", hint="letters, digits, underscores; or a file: URL")
        return
    try:
        parts = urlsplit(connection)
        has_password = has_secret(connection)
    except ValueError:
        report.say(path, "this URL cannot be read", hint="write file:///folder, or name a connection id")
        return
    if has_password:
        hint = "define a connection (AIRFLOW_CONN_<ID>, or in Airflow) and name its id"
        report.say(path, "a URL with a password stands in the file", hint=hint)
    elif parts.scheme not in _SCHEMES:
        report.say(path, f"no connector serves {parts.scheme!r} URLs", hint=f"known are {', '.join(_SCHEMES)}")
    elif parts.scheme in ("file", "singer", "reqif"):
        check_path(report, path, parts.path)


def check_path(report: Report, path: Path, value: str) -> None:
    """A path, or a stream that may be one, that does not climb out of its folder."""
    if ".." in re.split(r"[/\\]", value):
        report.say(
            path, f"{value!r} leads out of its folder by '..'", hint="write the path below the connection's root"
        )
    if "\x00" in value:
        report.say(path, "a NUL character stands in a path")
