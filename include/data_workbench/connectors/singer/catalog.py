"""A tap's catalog: which streams it has, and one of them chosen."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def entries(catalog: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The catalog's streams by name."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in catalog.get("streams", []):
        if isinstance(entry, dict) and isinstance(entry.get("stream") or entry.get("tap_stream_id"), str):
            found[str(entry.get("stream") or entry["tap_stream_id"])] = entry
    return found


def key_of(entry: Mapping[str, Any]) -> list[str]:
    """The key of a stream, wherever the tap says it."""
    given = entry.get("key_properties") or _root(entry).get("table-key-properties") or []
    return [str(name) for name in given] if isinstance(given, list) else []


def rows_of(entry: Mapping[str, Any]) -> int | None:
    """How many rows the tap expects, if it says so."""
    found = entry.get("row_count", _root(entry).get("row-count"))
    return found if isinstance(found, int) else None


def _root(entry: Mapping[str, Any]) -> dict[str, Any]:
    for item in entry.get("metadata") or []:
        if isinstance(item, dict) and not item.get("breadcrumb") and isinstance(item.get("metadata"), dict):
            return dict(item["metadata"])
    return {}


def selecting(catalog: Mapping[str, Any], stream: str) -> dict[str, Any]:
    """The catalog with one stream chosen, in all the ways taps look for that."""
    chosen = copy.deepcopy(dict(catalog))
    for entry in chosen.get("streams", []):
        if not isinstance(entry, dict):
            continue
        is_wanted = (entry.get("stream") or entry.get("tap_stream_id")) == stream
        entry["selected"] = is_wanted
        if isinstance(entry.get("schema"), dict):
            entry["schema"]["selected"] = is_wanted
        _mark(entry, is_wanted)
    return chosen


def _mark(entry: dict[str, Any], is_wanted: bool) -> None:
    items = entry.setdefault("metadata", [])
    if not any(isinstance(item, dict) and not item.get("breadcrumb") for item in items):
        items.append({"breadcrumb": [], "metadata": {}})
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("metadata"), dict):
            can = item["metadata"].get("inclusion") != "unsupported"
            item["metadata"]["selected"] = is_wanted and can
