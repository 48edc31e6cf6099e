"""Watched streams over HTTP."""

from __future__ import annotations

from typing import Any

from data_workbench.api.services.metastore import metastore
from data_workbench.errors import UsageError
from data_workbench.metastore import stream_schemas, watches
from data_workbench.pipelines.record_tracing import watched_changes


def listed() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Watches, and the slots that keep log for them."""
    with metastore() as store:
        return [vars(one) for one in watches.listed(store)], [vars(one) for one in watches.slots(store).values()]


def found(dataset: str, key: list[str], limit: int) -> dict[str, Any]:
    """What was found in a stream; `key` as COLUMN=VALUE.

    Raises:
        UsageError: it is not watched, or no key.
    """
    with metastore() as store:
        return watched_changes(store, dataset, key=read_key(key) if key else None, limit=limit)


def schemas(dataset: str) -> list[dict[str, Any]]:
    """The schemas a stream has had, latest first, each with what was different from the one before."""
    connection, _, stream = dataset.partition(":")
    with metastore() as store:
        return [vars(one) for one in stream_schemas.history(store, connection, stream)]


def read_key(key: list[str]) -> dict[str, str]:
    """COLUMN=VALUE by column. Raises UsageError."""
    wrong = [one for one in key if "=" not in one]
    if wrong:
        raise UsageError(f"{wrong[0][:80]!r} is no key", hint="write it as COLUMN=VALUE")
    return dict(one.partition("=")[::2] for one in key)
