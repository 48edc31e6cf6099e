"""Hooks of destinations: whether they may run there, and their values when they do.

They run with all the rights of the connection, which is more than writing the tables a pipeline names. So whoever runs
the site lists the connections they may use (`WORKBENCH_HOOKS`), as it lists the modules of `python` steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.errors import AccessDenied, Unsupported
from data_workbench.mapping.hooks import BoundHook, Hook, params_of, values_of

if TYPE_CHECKING:
    from data_workbench.language.spec import Pipeline
    from data_workbench.language.spec_destination import Destination, HookStatement
    from data_workbench.pipelines.plan import DestinationPlan
    from data_workbench.pipelines.stores import Stores
    from data_workbench.settings import Settings


def require_permitted(spec: Pipeline, settings: Settings) -> None:
    """Refuse hooks on connections that the site does not list. Raises AccessDenied."""
    listed = {one.strip() for one in settings.hooks.split(",")}
    for name, item in spec.destinations.items():
        if item.hooks is not None and item.connection not in listed:
            raise AccessDenied(
                f"destination {name!r}: hooks may not run on connection {item.connection!r}",
                hint="whoever runs the site adds it to WORKBENCH_HOOKS",
            )


def planned_hooks(name: str, item: Destination, stores: Stores) -> tuple[tuple[Hook, ...], tuple[Hook, ...]]:
    """What a destination runs before and after its load.

    Raises:
        Unsupported: its store runs none, or none in this language.
    """
    if item.hooks is None:
        return (), ()
    language = stores.destination(item.connection).capabilities.hooks
    for one in (*item.hooks.before, *item.hooks.after):
        if one.language != language:
            can = f"it runs {language}" if language else "hooks run on PostgreSQL and Neo4j"
            raise Unsupported(f"destination {name!r}: no {one.language} runs on {item.connection!r}", hint=can)
    return tuple(map(_hook, item.hooks.before)), tuple(map(_hook, item.hooks.after))


def _hook(one: HookStatement) -> Hook:
    return Hook(one.language, one.statement, params_of(one.language, one.statement))


def bound(
    plan: DestinationPlan, index: int, values: Mapping[str, Any]
) -> tuple[tuple[BoundHook, ...], tuple[BoundHook, ...]]:
    """The hooks of one target's load: those before are the first target's, those after the last one's."""
    before = plan.before if index == 0 else ()
    after = plan.after if index == len(plan.targets) - 1 else ()
    return (
        tuple(BoundHook(one, values_of(one, values)) for one in before),
        tuple(BoundHook(one, values_of(one, values)) for one in after),
    )


def told(plan: DestinationPlan) -> dict[str, list[str]] | None:
    """Hooks as `plan` and a dry run tell them; None if there are none."""
    if not plan.before and not plan.after:
        return None
    return {"before": [one.statement for one in plan.before], "after": [one.statement for one in plan.after]}
