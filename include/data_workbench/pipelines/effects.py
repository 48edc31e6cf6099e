"""What a run would change in its stores, and which of that has to be allowed.

Most of what a load does can be done again or taken back by another run. Four things cannot, and none of them may happen
because a file was edited: each has a name, which `--allow`, a DAG's form and `conf` over REST take. What a *source*
does is its schema policy's matter; asked here is what the pipeline's file asks for and did not ask for before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from data_workbench.connectors.base import Change, Effect
from data_workbench.errors import AccessDenied, ConnectionUnknown, NotAllowed, RetriableError
from data_workbench.mapping import targets as target_shapes
from data_workbench.mapping.targets import CollectionTarget, ResourceTarget, Target
from data_workbench.metastore import runs, stages
from data_workbench.pipelines.plan import RunPlan, is_current
from data_workbench.pipelines.targets import target_columns

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.options import RunOptions
    from data_workbench.pipelines.stores import Stores

ALL: Final = "all"
EFFECTS: Final[Mapping[Effect, str]] = {
    "replace": "rows go that another than this pipeline's own replace put there",
    "columns": "values of columns that are no longer written are lost",
    "key": "what was written by the old key is not found by the new one, and stays beside it",
    "model": "a collection is embedded anew by another model",
}
AWAY: Final = (RetriableError, ConnectionUnknown, AccessDenied)
"""A store that cannot be asked now."""


@dataclass(frozen=True)
class Before:
    """A destination as the last run that loaded it had it.

    Args:
        plan: None if another version of the workbench stored it: then its targets are known, their columns are not.
    """

    connection: str
    targets: tuple[Target, ...]
    plan: RunPlan | None


def changes_of(plan: RunPlan, name: str, stores: Stores, before: Before | None) -> list[Change]:
    """What loading one destination would change.

    Args:
        before: as it was loaded last; None if it was not, or that is not known.

    Raises:
        RetriableError, ConnectionUnknown, AccessDenied: the store cannot be asked.
    """
    item = plan.destinations[name]
    destination = stores.destination(item.connection)
    found: list[Change] = []
    for target in item.targets:
        columns = target_columns(target, plan.transform.node(target.input).columns.names)
        schema = plan.transform.node(target.input).columns
        earlier = _earlier(before, item.connection, target)
        told = destination.plan(target, pa.schema([schema.field(column) for column in columns]))
        found += [change for change in told if not _is_usual(change, target, earlier)]
        then = before.plan if before is not None else None
        if then is not None and earlier is not None and then.content_hash != plan.content_hash:
            found += _edited(target, columns, earlier, then)
    found += _left(plan, name, before)
    return [change for change in found if change.action != "none"]


def changes_since(
    plan: RunPlan, name: str, stores: Stores, metastore: Metastore | None, *, besides: str | None = None
) -> list[Change]:
    """What loading one destination would change, with what it was loaded with before, as far as that is known."""
    before = _last_loading(metastore, plan.pipeline, name, besides) if metastore else None
    return changes_of(plan, name, stores, before)


def _last_loading(metastore: Metastore, pipeline: str, destination: str, besides: str | None) -> Before | None:
    """What the last run that may have written to a destination had planned for it."""
    load = f"{stages.LOAD}{destination}"
    for run_id, state in stages.latest_with(metastore, pipeline, load, besides=besides).items():
        stored = runs.load_plan(metastore, run_id)
        if stored is None or (destination in stored.get("away", ()) and state != "success"):
            continue  # its store was away when it began, and it may have been refused when it was asked again
        item = stored["plan"]["destinations"][destination]
        plan = RunPlan.from_json(stored["plan"]) if is_current(stored["plan"]) else None
        return Before(item["connection"], tuple(_readable(item["targets"])), plan)
    return None


def _readable(targets: Iterable[dict[str, Any]]) -> Iterator[Target]:
    """Stored targets of any version, as far as they can still be read."""
    for one in targets:
        with suppress(TypeError, KeyError, ValueError):
            yield target_shapes.from_json(one)


def require_allowed(
    plan: RunPlan, names: Collection[str], stores: Stores, metastore: Metastore, options: RunOptions
) -> list[str]:
    """Refuse what destroys and was not allowed, before anything is read or written.

    Returns:
        Destinations that are away and could not be asked.

    Raises:
        NotAllowed: it names every effect that would have to be allowed.
    """
    away, found = list[str](), dict[str, list[Change]]()
    for name in names:
        try:
            found[name] = changes_since(plan, name, stores, metastore)
        except AWAY:
            away.append(name)
    refuse(plan, found, options)
    return away


def refuse(plan: RunPlan, changes: Mapping[str, list[Change]], options: RunOptions) -> None:
    """Refuse changes, by destination, that destroy and are not allowed. Raises NotAllowed."""
    refused = [
        (name, one)
        for name, found in changes.items()
        for one in found
        if one.effect is not None and not options.allows(one.effect)
    ]
    if refused:
        effects = list(dict.fromkeys(str(change.effect) for _, change in refused))
        told = "; ".join(f"{name}: {change.object}: {change.detail}" for name, change in refused[:10])
        raise NotAllowed(
            f"this run would destroy what stands ({told})",
            hint=f"look at `workbench plan {plan.pipeline}`; if it is meant, give --allow {','.join(effects)}",
        )


def _earlier(before: Before | None, connection: str, target: Target) -> Target | None:
    """The same target as it was loaded before."""
    if before is None or before.connection != connection:
        return None
    return next((one for one in before.targets if one.kind == target.kind and one.name == target.name), None)


def _is_usual(change: Change, target: Target, earlier: Target | None) -> bool:
    """Whether a replace replaces what this pipeline's own replace has put there."""
    return change.effect == "replace" and earlier is not None and earlier.write == target.write == "replace"


def _edited(target: Target, columns: list[str], earlier: Target, then: RunPlan) -> Iterator[Change]:
    """What a changed file does to what stands: columns no longer written, another key."""
    were = target_columns(earlier, then.transform.node(earlier.input).columns.names)
    loses = target.write == "replace" or isinstance(target, CollectionTarget | ResourceTarget)
    for column in were:
        if column not in columns:
            keeps = "its values are lost" if loses else "its values stay as they are and grow old"
            effect: Effect | None = "columns" if loses else None
            yield Change("stop_column", f"{target.name}.{column}", f"is no longer written: {keeps}", effect)
    old, new = getattr(earlier, "key", ()), getattr(target, "key", ())
    if target.write == "merge" and target.kind != "relationship" and old != new:
        words = f"key {', '.join(old) or '(none)'} becomes {', '.join(new) or '(none)'}"
        yield Change("change_key", target.name, f"{words}: {EFFECTS['key']}", "key")


def _left(plan: RunPlan, name: str, before: Before | None) -> Iterator[Change]:
    """Targets that were loaded under this name and are not any more: told, since nobody tends to them now."""
    now = plan.destinations[name]
    for one in before.targets if before else ():
        is_same = before is not None and before.connection == now.connection
        if not is_same or not any(one.kind == new.kind and one.name == new.name for new in now.targets):
            yield Change("leave", one.name, "is no longer written: what stands there stays as it is")


def as_document(destination: str, change: Change) -> dict[str, Any]:
    """A change as `plan --json` shows it."""
    return {
        "destination": destination,
        "action": change.action,
        "object": change.object,
        "detail": change.detail,
        "effect": change.effect,
        "destructive": change.destructive,
    }
