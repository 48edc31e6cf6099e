"""What is tried of restored stores together: samples, pipelines' comparisons, contracts; on scratch servers only.

Nothing is written: a comparison that finds a difference tells it. It may have stood in the stores when the set was
made (rows that came since a pipeline ran last), so it is no fault of the set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.connections import Connections
from data_workbench.connectors.metastore import open_metastore
from data_workbench.errors import WorkbenchError
from data_workbench.language.definition import load_definition
from data_workbench.language.rule_files import is_pipeline_file
from data_workbench.pipelines.contracts import Contracts
from data_workbench.pipelines.reconcile import Remedy
from data_workbench.pipelines.run import Runner
from data_workbench.pipelines.upkeep import Upkeep
from data_workbench.recovery.sampling import sampled

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.language.definition import Definition
    from data_workbench.settings import Settings


@dataclass
class Tried:
    """What was tried. By store, pipeline and contract; `left_out` says why something could not be."""

    queries: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    contracts: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """Answers that were not as they must be."""
        return [words for one in self.queries.values() for words in one["wrong"]]


@dataclass(frozen=True)
class Trial:
    """Restored stores by the names they have in the set, and where the set's definitions lie."""

    stores: Mapping[str, Connection]
    settings: Settings
    definitions: Path | None
    home: Path

    def run(self) -> Tried:
        """Try everything; what cannot be tried is told with its reason."""
        tried = Tried()
        for name, connection in self.stores.items():
            try:
                answers = sampled(connection)
            except WorkbenchError as error:
                tried.queries[name] = {"asked": 0, "wrong": [error.message]}
                continue
            tried.queries[name] = {"asked": answers.asked, "wrong": list(answers.wrong)}
        self._reconcile(tried)
        self._check(tried)
        return tried

    @property
    def _connections(self) -> Connections:
        return Connections(self.stores.get)

    @property
    def _own(self) -> Settings:
        """The settings of pipelines here: nothing of theirs reaches the home in use."""
        pipelines = self.definitions / "pipelines" if self.definitions else self.home / "none"
        return replace(self.settings, home=self.home, artifacts="", pipelines=pipelines, lineage_receiver="")

    def _reconcile(self, tried: Tried) -> None:
        metastore = self.stores.get(self.settings.metastore)
        if metastore is None or self.definitions is None:
            tried.left_out["pipelines"] = "the metastore and the definitions are not both in the set, or did not return"
            return
        with open_metastore(metastore) as opened:
            opened.upgrade()
            runner = Runner(settings=self._own, connections=self._connections, metastore=opened)
            for path in sorted(filter(is_pipeline_file, self._own.pipelines.glob("*"))):
                try:
                    definition = load_definition(path, settings=self._own)
                    self._compare(runner, definition, tried)
                except WorkbenchError as error:
                    tried.left_out[path.stem] = error.message.partition("\n")[0]

    def _compare(self, runner: Runner, definition: Definition, tried: Tried) -> None:
        spec, name = definition.spec, definition.spec.pipeline
        used = {one.connection for one in spec.sources.values()}
        used |= {one.connection for one in spec.destinations.values()}
        missing = sorted(used - self.stores.keys())
        if missing:
            tried.left_out[name] = f"{missing[0]} is not among the restored stores"
            return
        told = Upkeep(runner).reconcile_in_full(definition, params={}, remedy=Remedy())
        tried.pipelines[name] = {"clean": told["clean"], "destinations": told["destinations"]}

    def _check(self, tried: Tried) -> None:
        contracts = Contracts(self._own, self._connections, None)
        try:
            chosen = contracts.find(None)
        except WorkbenchError as error:
            tried.left_out["contracts"] = error.message.partition("\n")[0]
            return
        for one in chosen:
            name = one.contract.contract
            if one.contract.connection not in self.stores:
                tried.left_out[name] = f"{one.contract.connection} is not among the restored stores"
                continue
            try:
                results = contracts.check([one])
            except WorkbenchError as error:
                tried.left_out[name] = error.message.partition("\n")[0]
                continue
            kinds = [str(result["outcome"]) for result in results]
            tried.contracts[name] = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
