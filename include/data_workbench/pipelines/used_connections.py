"""Which connections the pipelines of a folder use."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from data_workbench.errors import WorkbenchError
from data_workbench.language.definition import load_definition
from data_workbench.language.rule_files import is_pipeline_file

if TYPE_CHECKING:
    from pathlib import Path

    from data_workbench.settings import Settings

log = logging.getLogger(__name__)


def used_connections(folder: Path, settings: Settings) -> set[str]:
    """Ids of connections that pipelines read or write; a broken file is left to its own DAG, and logged."""
    found: set[str] = set()
    for path in sorted(filter(is_pipeline_file, folder.glob("*"))):
        try:
            spec = load_definition(path, settings=settings).spec
        except WorkbenchError as error:
            log.warning("left out: %s", error)
            continue
        found |= {source.connection for source in spec.sources.values()}
        found |= {destination.connection for destination in spec.destinations.values()}
    return found
