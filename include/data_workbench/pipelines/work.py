"""An open run: its stored plan, params and options, and the stores it talks to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from data_workbench.errors import StateError
from data_workbench.language.params import restore
from data_workbench.metastore import runs, states
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.plan import RunPlan
from data_workbench.pipelines.stores import Stores

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings


@dataclass(frozen=True)
class Work:
    """Everything a stage of a run needs."""

    run_id: str
    plan: RunPlan
    stores: Stores
    params: Mapping[str, Any]
    options: RunOptions
    now: datetime
    begins: Mapping[str, bool]
    """Per source whether it is read from its position on."""
    estimates: Mapping[str, int | None] = field(default_factory=dict)
    """Per source how many rows its store said it has, when the run began."""
    owner: str | None = None
    description: str | None = None
    """Of the pipeline, as its file said when the run began."""

    @property
    def expected_rows(self) -> int | None:
        """About how many rows will be read; None where nobody can say."""
        options, sources = self.options, self.plan.sources
        if options.only_keys:
            return sum(map(len, options.only_keys.values()))
        known = {name: rows for name, rows in self.estimates.items() if rows is not None}
        if set(known) < set(sources) or any(self.begins.values()) or any(one.where for one in sources.values()):
            return None
        return sum(min(rows, options.limit or rows) for rows in known.values())

    def scope(self, source: str) -> str:
        """The scope of a source's position: the values of the params its filter uses."""
        used = self.plan.sources[source].params
        return states.scope_of({param: self.params.get(param) for param in used})


@contextmanager
def open_work(metastore: Metastore, run_id: str, connections: Connections, settings: Settings) -> Iterator[Work]:
    """Open a run as it was stored when it began.

    Raises:
        StateError: it has no plan, or is over.
    """
    run = runs.get(metastore, run_id)
    stored = runs.load_plan(metastore, run_id)
    if stored is None:
        raise StateError(f"run {run_id} has no stored plan", hint="start a new run", run_id=run_id)
    if run.state != "running":
        raise StateError(
            f"run {run_id} of {run.pipeline!r} is {run.state}, it does nothing more",
            hint="start a new run",
            run_id=run_id,
        )
    plan = RunPlan.from_json(stored["plan"])
    with Stores(connections, settings) as stores:
        yield Work(
            run_id=run_id,
            plan=plan,
            stores=stores,
            params=restore(plan.transform.params, run.params),
            options=RunOptions.from_json(run.options),
            now=run.now,
            begins=stored["begins"],
            estimates=stored.get("estimates", {}),
            owner=stored.get("owner"),
            description=stored.get("description"),
        )
