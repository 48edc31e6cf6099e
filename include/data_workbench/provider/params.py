"""A pipeline's params as Airflow's: a form in the UI, HTTP 400 for a conf that does not fit.

Beside them stand the options of a run, and who asked for it; a pipeline's own param of the same name goes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from data_workbench.connectors.base import Effect
from data_workbench.language.params import MAX_TEXT
from data_workbench.language.partitions import TimePartitions

if TYPE_CHECKING:
    from airflow.sdk import Param as AirflowParam

    from data_workbench.language.spec import Param, Pipeline

_SHAPES: Mapping[str, dict[str, Any]] = {
    "text": {"type": "string", "maxLength": MAX_TEXT},
    "integer": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    # The format alone is checked only where an optional library is installed.
    "timestamp": {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}"},
    "uuid": {"type": "string", "format": "uuid", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
}

_ALLOWED: Sequence[str] = [*get_args(Effect), "all"]
_RUN_OPTIONS: Mapping[str, tuple[Any, dict[str, Any], str]] = {
    "full_refresh": (False, {"type": "boolean"}, "Read everything again and delete what is no longer there"),
    "reset_state": (False, {"type": "boolean"}, "Forget cursors, overlap and deferred rows first"),
    "limit": (None, {"type": ["null", "integer"], "minimum": 1}, "At most so many rows of each source; no state moves"),
    "allow": (
        [],
        {"type": "array", "items": {"enum": _ALLOWED}, "uniqueItems": True, "examples": _ALLOWED},
        "Let the run destroy what `workbench plan` names: replace, columns, key, model, or all",
    ),
}
_REPLAY: Mapping[str, Any] = {
    "type": ["null", "string", "array"],
    "pattern": "^all$",
    "items": {"type": "integer", "minimum": 1},
    "minItems": 1,
    "maxItems": 10_000,
}
_REQUEST: Mapping[str, str] = {
    "requested_by": "Who asked for this run; the user who triggered it if left out",
    "correlation_id": "The caller's own id of this run",
    "idempotency_key": "The same key over REST again is answered with the run it gave",
}
_BOUND: Mapping[str, Any] = {"type": ["null", "string"], "maxLength": 60, "pattern": "^[0-9TZ:.+-]*$"}
_SPAN: Mapping[str, tuple[Any, dict[str, Any], str]] = {
    "from": (None, {**_BOUND}, "Where the first partition begins; the file's start if left out"),
    "to": (None, {**_BOUND}, "Where the last one ends; what begins there is not among them"),
    "only": (
        None,
        {"type": ["null", "array"], "items": {"type": "string", "maxLength": 200}, "maxItems": 10_000},
        "Keys of partitions; all between the two if left out",
    ),
    "parallel": (1, {"type": "integer", "minimum": 1, "maximum": 16}, "Partitions at a time"),
    "retry_failed": (False, {"type": "boolean"}, "Try the failed partitions of the same backfill again"),
}
_WORDS = r"^[\w .,:@+#=-]*$"
"""Names, addresses and ids; nothing that a shell, a query or a path is made of: these travel into logs and reports."""
_REMEDY: Mapping[str, str] = {
    "repair": "Write what is missing or stale",
    "delete": "Delete what is surplus, too",
    "force": "Delete even more than 5 % of a destination",
}


def run_params(spec: Pipeline) -> dict[str, AirflowParam]:
    """Everything that can be given when a run is triggered."""
    from airflow.sdk import Param as AirflowParam

    found = own_params(spec)
    for name, (default, schema, description) in _RUN_OPTIONS.items():
        if name not in spec.params:
            found[name] = AirflowParam(default, description=description, section="Run options", **schema)
    if "replay" not in spec.params:
        told = "Ids of quarantined records, or all: read these rows again instead of the sources"
        found["replay"] = AirflowParam(None, description=told, section="Run options", **_REPLAY)
    for name, description in _REQUEST.items():
        if name not in spec.params:
            schema = {"type": ["null", "string"], "maxLength": 200, "pattern": _WORDS}
            found[name] = AirflowParam(None, description=description, section="Request", **schema)
    return found


def reconcile_params(spec: Pipeline) -> dict[str, AirflowParam]:
    """What a full reconciliation takes: the pipeline's own, and what may be repaired (nothing by default)."""
    from airflow.sdk import Param as AirflowParam

    found = own_params(spec)
    for name, description in _REMEDY.items():
        if name not in spec.params:
            found[name] = AirflowParam(False, description=description, section="Remedy", type="boolean")
    return found


def backfill_params(spec: Pipeline) -> dict[str, AirflowParam]:
    """What a backfill takes: the span, the pipeline's params that partitions do not give, and who asked."""
    from airflow.sdk import Param as AirflowParam

    assert spec.partitions is not None
    found = {name: _as_airflow(param) for name, param in spec.params.items() if name not in spec.partitions.params}
    for name, (default, schema, description) in _SPAN.items():
        found[name] = AirflowParam(default, description=description, section="Partitions", **schema)
    for name, description in _REQUEST.items():
        schema = {"type": ["null", "string"], "maxLength": 200, "pattern": _WORDS}
        found[name] = AirflowParam(None, description=description, section="Request", **schema)
    return found


def given_span(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given for the span of a backfill, as `backfill.Asked` takes it."""
    return {"first": values.get("from"), "last": values.get("to"), "only": tuple(values.get("only") or ())}


def given_beside_partitions(spec: Pipeline, values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given for the params that partitions do not give."""
    assert spec.partitions is not None
    mine = [name for name in spec.params if name not in spec.partitions.params and name not in _SPAN]
    return {name: values[name] for name in mine if values.get(name) is not None}


def own_params(spec: Pipeline) -> dict[str, AirflowParam]:
    """The params the file declares; Airflow does not ask for those that a run by a clock takes from its time."""
    by_time = spec.partitions.params if spec.schedule and isinstance(spec.partitions, TimePartitions) else ()
    optional = {name: param.model_copy(update={"required": False}) for name, param in spec.params.items()}
    return {name: _as_airflow(optional[name] if name in by_time else param) for name, param in spec.params.items()}


def given_params(spec: Pipeline, values: Mapping[str, Any], conf: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was given for the file's own params, names nobody declared included, so that the engine refuses them."""
    ours = {*_RUN_OPTIONS, *_REQUEST, *_REMEDY, "replay"} - set(spec.params)
    unknown = {name: value for name, value in (conf or {}).items() if name not in ours and name not in spec.params}
    return {**{name: values.get(name) for name in spec.params}, **unknown}


def message_params(asset: str, events: Mapping[Any, Any]) -> dict[str, Any]:
    """What all events of an asset that a run was made for say alike of its params; nothing if they differ.

    Args:
        events: `triggering_asset_events` of the run's context.
    """
    payloads = [
        (event.extra or {}).get("payload") or {}
        for key, found in events.items()
        if getattr(key, "name", None) == asset
        for event in found
    ]
    values = [one.get("params") for one in payloads]
    alike = bool(values) and values[0] is not None and all(one == values[0] for one in values)
    return dict(values[0] or {}) if alike else {}


def given_options(spec: Pipeline, values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given for the options of a run."""
    given = {name: values[name] for name in _RUN_OPTIONS if name not in spec.params and name in values}
    return {**given, "allow": tuple(sorted(given.get("allow") or ()))}


def given_replay(spec: Pipeline, values: Mapping[str, Any]) -> list[int] | None:
    """Ids of the quarantined records to send through again, [] for all open ones; None for an ordinary run."""
    given = None if "replay" in spec.params else values.get("replay")
    return given if given is None else [] if given == "all" else [int(one) for one in given]


def given_request(values: Mapping[str, Any], name: str) -> str | None:
    """Who asked, or the caller's id; a pipeline that declares such a param means the same by it."""
    value = values.get(name)
    return str(value) if value else None


def given_remedy(spec: Pipeline, values: Mapping[str, Any]) -> dict[str, bool]:
    """What a full reconciliation may do."""
    return {name: bool(values.get(name)) for name in _REMEDY if name not in spec.params}


def _as_airflow(param: Param) -> AirflowParam:
    from airflow.sdk import Param as AirflowParam

    schema = dict(_SHAPES[param.type])
    if param.values is not None:
        schema["enum"] = list(param.values)
    options: dict[str, Any] = {"description": param.description} if param.description else {}
    if param.default is not None:
        return AirflowParam(param.default, **options, **schema)
    if param.required:
        return AirflowParam(**options, **schema)
    schema["type"] = ["null", schema["type"]]
    if "enum" in schema:
        schema["enum"] = [None, *schema["enum"]]
    return AirflowParam(None, **options, **schema)
