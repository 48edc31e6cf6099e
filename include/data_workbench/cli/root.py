"""The root command: modules add their commands and groups to it."""

from __future__ import annotations

import logging
import sys

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="odras-data-workbench", prog_name="workbench")
@click.option("-v", "--verbose", count=True, help="Tell more on stderr; twice for everything.")
def root(verbose: int) -> None:
    """Pipelines, reconciliation and recovery over PostgreSQL, Neo4j, Qdrant and files."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("data_workbench").setLevel(level)
