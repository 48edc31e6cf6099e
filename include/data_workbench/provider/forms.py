"""Connection types that no official provider owns: their forms, made from what the connectors say they hold.

Imports nothing from Airflow: `get_provider_info` is asked while Airflow's configuration is still being built.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from data_workbench.connectors.registry import CONNECTORS, spec_of
from data_workbench.connectors.spec import Key, keys_of

_HOOKS = {
    "duckdb": "DuckdbHook",
    "mysql": "MysqlHook",
    "workbench_rdf": "RdfHook",
    "workbench_singer": "SingerHook",
    "workbench_reqif": "ReqifHook",
    "workbench_dlt": "DltHook",
}
_OWNERS = {"mysql": "apache-airflow-providers-mysql"}
"""Whose type it is where that distribution is installed: a second registration would be ignored in silence."""

_COLUMNS = ("host", "port", "login", "password", "schema")
_JSON_TYPES = {"text": "string", "secret": "string", "integer": "integer", "number": "number", "boolean": "boolean"} | {
    "tuple": "string"
}


def store_types() -> list[dict[str, Any]]:
    """Entries of `connection-types`."""
    return [_entry(kind, hook) for kind, hook in _HOOKS.items() if not _is_owned(kind)]


def _is_owned(kind: str) -> bool:
    try:
        distribution(_OWNERS.get(kind, "")) if kind in _OWNERS else None
    except PackageNotFoundError:
        return False
    return kind in _OWNERS


def _entry(kind: str, hook: str) -> dict[str, Any]:
    keys = keys_of(spec_of(kind))
    return {
        "connection-type": kind,
        "hook-class-name": f"data_workbench.provider.hooks.{hook}",
        "hook-name": f"{CONNECTORS[kind].title} (workbench)",
        "conn-fields": {key.field: form_field(key) for key in keys if key.place not in _COLUMNS},
        "ui-field-behaviour": {"hidden-fields": [one for one in _COLUMNS if one not in {key.place for key in keys}]},
    }


def extra_fields(kind: str) -> dict[str, Any]:
    """A box for every extra of a connection type."""
    return {key.field: form_field(key) for key in keys_of(spec_of(kind)) if key.place not in _COLUMNS}


def form_field(key: Key) -> dict[str, Any]:
    """One box of a form."""
    schema: dict[str, Any] = {
        "type": [_JSON_TYPES.get(key.type, "string" if key.type.startswith("`") else "object"), "null"],
        "description": key.meaning,
    }
    if key.default not in (None, {}, ()):
        schema["default"] = key.default
    if key.secret:
        schema["format"] = "password"
    return {"label": key.field.replace("_", " ").capitalize(), "schema": schema}
