"""Who takes what the stores hold beside pipelines, as jobs of lineage: alert routes, subscriptions, callers of the API.

    job                              reads
    alert_route__<route>.tell        datasets of whose contracts and pipelines' checks it is told
    subscription__<pipeline>.wait    datasets, files and topics that a pipeline's schedule waits for
    api_consumer__<name>.ask         what pipelines write that a caller has asked to run (`requested_by`); of a
                                     service token for metrics, which tell of it all, everything pipelines write

They come out of files, settings and the metastore, and are told when they are not as lineage has them: so the graph
knows since when somebody has read a dataset, and until when.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from data_workbench.errors import DefinitionError, UsageError, WorkbenchError
from data_workbench.language.schedules import DatasetSchedule, FileSchedule, TopicSchedule
from data_workbench.lineage import DatasetName, LineageDataset, source_name
from data_workbench.lineage.assets import Asset, dataset_of
from data_workbench.lineage.events import CONSUMERS, NAMESPACE, ConsumerKind
from data_workbench.metastore import lineage_reading as reading
from data_workbench.metastore import runs, tokens
from data_workbench.metastore.alerts import Alert
from data_workbench.notifications.names import route_names
from data_workbench.pipelines.contract_files import contract_files, load_contract
from data_workbench.pipelines.datasets import dataset_names
from data_workbench.pipelines.store_lineage import told
from data_workbench.pipelines.telling_quality import routing
from data_workbench.pipelines.telling_trouble import readable

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.language.spec import Pipeline
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

Consumers = Mapping[tuple[ConsumerKind, str], frozenset[DatasetName]]
_VERBS: Final[Mapping[ConsumerKind, str]] = {"alert_route": "tell", "subscription": "wait", "api_consumer": "ask"}


def tell_consumers(store: Metastore, connections: Connections, settings: Settings) -> int:
    """Tell lineage of consumers that came, went, or read something else; how many. The outbox has the events then."""
    now = _Site(store, connections, settings).consumers()
    before = {_parts(name): {DatasetName(*one) for one in read} for name, read in _known(store).items()}
    changed = [one for one in {**before, **now} if set(now.get(one, ())) != before.get(one, set())]
    for kind, name in changed:
        inputs = [LineageDataset(one) for one in sorted(now.get((kind, name), ()), key=str)]
        with told(settings, kind, name, _VERBS[kind], inputs=inputs):
            pass
    return len(changed)


def _known(store: Metastore) -> dict[str, set[tuple[str, str]]]:
    return reading.reads(store, NAMESPACE, f"^({'|'.join(CONSUMERS)})__")


def _parts(job: str) -> tuple[ConsumerKind, str]:
    whole = job.rpartition(".")[0]
    kind = next(one for one in CONSUMERS if whole.startswith(f"{one}__"))
    return kind, whole.removeprefix(f"{kind}__")


class _Site:
    """Files, settings and the metastore of a site; names that cannot be had are left out."""

    def __init__(self, store: Metastore, connections: Connections, settings: Settings) -> None:
        self._store, self._connections, self._settings = store, connections, settings
        self._definitions = readable(settings)

    def consumers(self) -> Consumers:
        found: dict[tuple[ConsumerKind, str], set[DatasetName]] = {}
        for key, names in (*self._routes(), *self._subscriptions(), *self._callers()):
            found.setdefault((key[0], _named(key[1])), set()).update(names)
        return {key: frozenset(names) for key, names in found.items() if names}

    def _routes(self) -> Iterator[tuple[tuple[ConsumerKind, str], list[DatasetName]]]:
        try:
            chosen = routing(self._settings.alert_rules, route_names(self._settings))
        except UsageError as error:
            log.warning("lineage leaves alert routes out: %s", error.message)
            return
        for dataset, owner in self._watched():
            for severity in ("critical", "warning"):
                detail = {"dataset": dataset, "owner": owner}
                for route in chosen(Alert("contract.broken", dataset, severity, "", detail)):
                    yield ("alert_route", route), self._names([dataset])

    def _watched(self) -> Iterator[tuple[str, str | None]]:
        """Datasets that contracts are about, by themselves and in pipelines, with their owners."""
        for path in contract_files(self._settings):
            try:
                contract = load_contract(path, self._settings).contract
            except (DefinitionError, UsageError):
                continue  # lint and its own check tell
            yield f"{contract.connection}:{contract.stream}", contract.owner
        for spec in self._specs():
            if spec.contract:
                yield from ((name, spec.owner) for name in _written(spec))

    def _subscriptions(self) -> Iterator[tuple[tuple[ConsumerKind, str], list[DatasetName]]]:
        for spec in self._specs():
            key: tuple[ConsumerKind, str] = ("subscription", spec.pipeline)
            match spec.schedule:
                case DatasetSchedule(dataset=names):
                    yield key, self._names([names] if isinstance(names, str) else names)
                case TopicSchedule(topic=topic, connection=connection):
                    yield key, self._names([f"{connection}:{topic}"])
                case FileSchedule(file=file, connection=connection) if connection is not None:
                    yield key, self._names([f"{connection}:{file}"])

    def _callers(self) -> Iterator[tuple[tuple[ConsumerKind, str], list[DatasetName]]]:
        written = {spec.pipeline: _written(spec) for spec in self._specs()}
        for pipeline, caller in runs.callers(self._store):
            yield ("api_consumer", caller), self._names(written.get(pipeline, []))
        everything = self._names([one for names in written.values() for one in names])
        for token in tokens.list_tokens(self._store):
            if token.state == "active" and "metrics" in token.scopes:
                yield ("api_consumer", f"token {token.name}"), everything

    def _specs(self) -> list[Pipeline]:
        return [one.spec for one in self._definitions]

    def _names(self, datasets: Sequence[str]) -> list[DatasetName]:
        found = []
        for one in datasets:
            connection, colon, stream = one.partition(":")
            if not colon or not stream:  # an asset of other DAGs, without a place
                found.append(dataset_of(Asset(one, one), self._connections))
                continue
            try:
                found.append(source_name(self._connections.get(connection), stream))
            except WorkbenchError as error:
                log.info("lineage leaves %s out: %s", one, error.message)
        return found


def _written(spec: Pipeline) -> list[str]:
    return [name for destination in spec.destinations.values() for name in dataset_names(destination)]


def _named(name: str) -> str:
    """As part of a job's name, in which a dot ends the whole."""
    return name.replace(".", "·")
