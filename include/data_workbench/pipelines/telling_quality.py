"""Who is told of a contract that does not hold, and what: rules of routes, what is downstream, how to mend it."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from data_workbench.errors import UsageError
from data_workbench.pipelines.classification import datasets_of

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.metastore.alerts import Alert

_FORM = '[{"owner": "…", "dataset": "odras_*", "severity": "critical", "routes": ["ops_alerts"]}]'


def routing(rules: str, names: Sequence[str]) -> Callable[[Alert], Sequence[str]]:
    """The routes of an alert: those of the first rule it fits, or all.

    Args:
        rules: JSON, of the setting WORKBENCH_ALERT_RULES.
        names: all routes.

    Raises:
        UsageError: the rules are not what they should be.
    """
    found = _read(rules, names)

    def chosen(alert: Alert) -> Sequence[str]:
        for rule in found:
            fits = fnmatch.fnmatchcase(str(alert.detail.get("dataset", "")), rule.get("dataset", "*"))
            fits = fits and rule.get("owner") in (None, alert.detail.get("owner"))
            if fits and rule.get("severity") in (None, alert.severity):
                return [name for name in rule["routes"] if name in names]
        return names

    return chosen


def _read(rules: str, names: Sequence[str]) -> list[dict[str, Any]]:
    if not rules:
        return []
    try:
        found = json.loads(rules)
        unknown = {key for rule in found for key in rule} - {"owner", "dataset", "severity", "routes"}
        wanted = [name for rule in found for name in rule["routes"]]
    except (ValueError, TypeError, KeyError):
        raise UsageError("WORKBENCH_ALERT_RULES is not the JSON it should be", hint=f"write {_FORM}") from None
    if unknown:
        raise UsageError(f"WORKBENCH_ALERT_RULES has the key {min(unknown)!r}", hint=f"write {_FORM}")
    missing = sorted(set(wanted) - set(names))
    if missing:
        raise UsageError(
            f"WORKBENCH_ALERT_RULES names the route {missing[0]!r}, which is none",
            hint=f"routes are {', '.join(names) or 'none: see WORKBENCH_ALERT_ROUTES'}",
        )
    return list(found)


def downstream(definitions: Iterable[Definition], dataset: str) -> tuple[list[str], list[str]]:
    """Datasets that pipelines make of a dataset, and the pipelines that write it.

    Followed from pipeline to pipeline, each dataset once.
    """
    reads: dict[str, set[str]] = {}
    writers = []
    for one in definitions:
        read = {f"{source.connection}:{source.stream}" for source in one.spec.sources.values()}
        written = set(datasets_of(one.spec)) - read
        if dataset in written:
            writers.append(one.spec.pipeline)
        for name in read:
            reads.setdefault(name, set()).update(written)
    found: list[str] = []
    pending = [dataset]
    while pending:
        for name in sorted(reads.get(pending.pop(), ())):
            if name not in found and name != dataset:
                found.append(name)
                pending.append(name)
    return found, sorted(writers)
