"""Holding contracts of their own against the stores, keeping what was found, and telling of it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.errors import WorkbenchError
from data_workbench.language.kinds import kind_of
from data_workbench.metastore import checks as history
from data_workbench.metastore.connection_checks import states
from data_workbench.pipelines.classification import CLASSIFIED
from data_workbench.pipelines.contract_files import ContractFile, contract_files, load_contract
from data_workbench.pipelines.hidden_columns import HiddenColumns, known_definitions
from data_workbench.pipelines.run import new_run_id
from data_workbench.pipelines.store_lineage import contract_checked
from data_workbench.pipelines.stores import Stores
from data_workbench.pipelines.telling_quality import downstream, routing
from data_workbench.pipelines.telling_trouble import Telling
from data_workbench.quality.drivers import Drivers
from data_workbench.quality.incidents import Surroundings, tell
from data_workbench.quality.keeping import keep_profile, keep_results, watch
from data_workbench.quality.profiling import Asked, profile
from data_workbench.quality.standalone import Reader

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.language.definition import Definition
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.anomalies import Unusual
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contracts:
    """Holds contracts against the stores, and keeps what was found."""

    settings: Settings
    connections: Connections
    metastore: Metastore | None
    routes: Sequence[str] = ()
    """Who can be told; the rules say who is. Alerts are stored here and handed out by `notifications.deliver`."""

    def find(self, subject: str | None) -> list[ContractFile]:
        """The contracts that a name, a file or a dataset means; all if none is named.

        Raises:
            DefinitionError: a file among them is broken.
        """
        if subject is not None and Path(subject).is_file():
            return [load_contract(Path(subject), self.settings)] if kind_of(Path(subject)) == "contract" else []
        files = contract_files(self.settings)
        named = [path for path in files if path.stem == subject]
        if named:
            return [load_contract(path, self.settings) for path in named]
        found = [load_contract(path, self.settings) for path in files]
        return [one for one in found if subject in (None, one.contract.contract, one.contract.dataset)]

    def check(self, chosen: Sequence[ContractFile]) -> list[dict[str, Any]]:
        """The results of all checks of these contracts."""
        found: list[dict[str, Any]] = []
        folder = self.settings.home / "work" / f"check-{new_run_id()}"
        hidden = HiddenColumns(self.settings, chosen)
        with Stores(self.connections, self.settings) as stores:
            for position, one in enumerate(chosen):
                place = folder / str(position)
                reader = Reader(stores.observed, hidden, self.settings, place)
                try:
                    with contract_checked(one.contract, self.connections, self.settings) as results:
                        told = one.evaluation.run(reader)
                        results.extend(told)
                finally:
                    shutil.rmtree(place, ignore_errors=True)
                if self.metastore is not None:
                    keep_results(self.metastore, told)
                    self._profile(one, stores, hidden)
                    strange = watch(self.metastore, one.contract.dataset, self._drivers(one, stores, hidden, told))
                    self._tell(self.metastore, told, strange)
                found += [*told, *self._service_level(one)]
        shutil.rmtree(folder, ignore_errors=True)
        return found

    def _tell(self, store: Metastore, told: Sequence[dict[str, Any]], strange: Sequence[Unusual]) -> None:
        if not told:
            return
        contract, dataset = told[0]["contract"], told[0]["dataset"]
        following, writers = downstream(self._definitions, dataset)
        around = Surroundings(
            downstream=following,
            replay=[*(f"workbench run {name}" for name in writers), f"workbench check {contract}"],
            unusual=[f"{one.column} {one.name}: {one.value:.6g}".strip() for one in strange if one.is_new],
            escalate_after=timedelta(hours=self.settings.escalation_hours),
            broken_connections={name for name, one in states(store).items() if one.state == "broken"},
        )
        tell(store, told, around, routing(self.settings.alert_rules, self.routes))
        is_broken = any(one["outcome"] not in ("passed", "not_evaluated") for one in told)
        Telling(store, self.settings, self.routes).of_metrics(dataset, told[0]["owner"], is_broken=is_broken)

    def _profile(self, one: ContractFile, stores: Stores, hidden: Callable[[str], Collection[str]]) -> None:
        """Take the profile that a contract asks for; a store that is away was told by its checks."""
        if not one.contract.profile or self.metastore is None:
            return
        classified = dict.fromkeys(hidden(one.contract.dataset), CLASSIFIED)
        asked = Asked(one.contract.connection, one.contract.stream, hidden=classified)
        try:
            keep_profile(self.metastore, profile(stores.observed(asked.connection), asked, self.settings))
        except WorkbenchError as error:
            log.warning("%s: no profile: %s", one.contract.dataset, error.message)

    def _drivers(
        self,
        one: ContractFile,
        stores: Stores,
        hidden: Callable[[str], Collection[str]],
        told: Sequence[dict[str, Any]],
    ) -> Drivers:
        contract = one.contract
        return Drivers(
            lambda: stores.observed(contract.connection), contract.stream, hidden(contract.dataset), self.settings, told
        )

    def _service_level(self, one: ContractFile) -> Iterator[dict[str, Any]]:
        """Computed from the history, the results of just now included; it is not kept, since it repeats them."""
        wanted = one.contract.service_level
        if wanted is None:
            return
        if self.metastore is None:
            yield one.evaluation.unknown("service level", one.contract.severity, "without the metastore")
            return
        good, evaluated = history.share_passed(self.metastore, one.contract.contract, datetime.now(UTC) - wanted.over)
        if not evaluated:
            yield one.evaluation.unknown("service level", one.contract.severity, "no check was evaluated yet")
            return
        is_kept = good / evaluated >= float(wanted.passed.removesuffix("%")) / 100
        sample = [] if is_kept else [{"passed": f"{good / evaluated:.3%}", "wanted": wanted.passed}]
        failing = 0 if is_kept else evaluated - good
        yield one.evaluation.result("service level", one.contract.severity, failing, rows_=evaluated, sample=sample)

    @cached_property
    def _definitions(self) -> list[Definition]:
        return known_definitions(self.settings)
