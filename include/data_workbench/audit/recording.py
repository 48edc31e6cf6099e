"""Telling of what is done outside the metastore: an entry before, so that nothing is done untold, and one after."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from data_workbench.errors import WorkbenchError
from data_workbench.metastore import Metastore
from data_workbench.metastore.audit import Act, Author, record

log = logging.getLogger(__name__)


@contextmanager
def recorded(
    store: Metastore,
    action: str,
    subject: str,
    *,
    details: Mapping[str, Any],
    author: Author | None = None,
    run_id: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Tell of an action as `ACTION.begun` before the block and as `ACTION.ended` after it.

    The block may add to the mapping it is given what came of it. A process that is killed leaves the first entry alone.

    Raises:
        WorkbenchError: the first entry cannot be written; the block is not entered.
    """
    author = author or Author.of_process()
    record(store, author, Act(f"{action}.begun", subject, details, run_id))
    outcome: dict[str, Any] = {}
    try:
        yield outcome
    except BaseException as error:
        told = {"state": "failed", "error": type(error).__name__, **outcome}
        try:
            record(store, author, Act(f"{action}.ended", subject, told, run_id))
        except WorkbenchError as untold:  # what the block raised matters more; the beginning stands in the trail
            log.warning("the end of %s of %s could not be told: %s", action, subject, untold.message)
        raise
    record(store, author, Act(f"{action}.ended", subject, {"state": "success", **outcome}, run_id))
