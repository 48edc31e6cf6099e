"""Options of sources that read files: known keys, values of their types, and what belongs together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.connections import FILE_SCHEMES
from data_workbench.connectors.files.changes import MODIFIED
from data_workbench.connectors.files.formats.table import is_known
from data_workbench.connectors.files.options import FileOptions
from data_workbench.connectors.files.streams import SEPARATOR
from data_workbench.errors import UsageError
from data_workbench.language.wording import word
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.connections import check_path
from data_workbench.pipelines.checks.report import Report
from data_workbench.records.names import near_names


def check_file_sources(report: Report) -> None:
    """Check sources and lookups that are known to read files: by a URL, or by their stream's ending."""
    spec = report.definition.spec
    for name, source in spec.sources.items():
        if not reads_files(source.connection, source.stream):
            continue
        path: Path = ("sources", name)
        check_path(report, (*path, "stream"), source.stream)
        _check_options(report, (*path, "options"), source.options)
        if source.cursor is not None and source.cursor.column == MODIFIED and not source.options.get("changes"):
            message = f"{MODIFIED!r} is there with the option 'changes' only"
            report.say((*path, "cursor", "column"), message, hint="add options: {changes: auto}")
    for position, step in enumerate(spec.steps):
        if step.lookup is not None and reads_files(step.lookup.connection, step.lookup.stream):
            _check_options(report, ("steps", position, "lookup", "options"), step.lookup.options)


def reads_files(connection: str, stream: str) -> bool:
    """Whether a source is one of files, as far as the file tells; a connection's type is not known here."""
    return connection.partition("://")[0] in FILE_SCHEMES or any(is_known(part) for part in stream.split(SEPARATOR))


def _check_options(report: Report, path: Path, options: Mapping[str, Any]) -> None:
    try:
        FileOptions(**dict(options))
    except ValidationError as error:
        for item in error.errors(include_url=False):
            place: Path = (*path, *item["loc"])
            if item["type"] == "extra_forbidden":
                key = str(item["loc"][-1])
                hint = near_names(key, FileOptions.model_fields)
                report.say(place, f"a source of files has no option {key!r}", hint=hint, key=True)
            else:
                said = word(cast(dict[str, Any], item), place, report.definition.tree)
                meaning = FileOptions.model_fields[str(item["loc"][0])].description
                report.say(place, said.message, hint=said.hint or meaning)
    types = options.get("types")
    for column, kind in types.items() if isinstance(types, Mapping) else ():
        try:
            field_of(str(column), str(kind))
        except UsageError as error:
            report.say((*path, "types", column), error.message.removeprefix("types: "), hint=error.hint)
