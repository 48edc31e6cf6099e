"""The tasks of the backups' DAGs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator  # noqa: TID253  # operators are classes of the SDK; a DAG file has it loaded

from data_workbench.provider.engine import author_of, open_metastore, translated

if TYPE_CHECKING:
    from airflow.sdk import Context

    from data_workbench.backup.vault import Vault
    from data_workbench.settings import Settings


def _opened() -> tuple[Settings, Vault]:
    """The settings and the repository they name: said by whoever runs Airflow, so no list of folders bounds it."""
    from dataclasses import replace

    from data_workbench import settings as settings_module
    from data_workbench.backup.vault import open_vault
    from data_workbench.provider.connections import airflow_connections

    settings = settings_module.load()
    return settings, open_vault(settings.backup_place, airflow_connections(), replace(settings, file_roots=""))


class CreateBackupOperator(BaseOperator):
    """Makes a set of all stores; a second try makes another, and the first try's chunks serve it."""

    def execute(self, context: Context) -> dict[str, Any]:
        """The set in a few words."""
        from data_workbench.audit import recorded
        from data_workbench.backup.creation import Creation, summary
        from data_workbench.backup.keys import open_keyring
        from data_workbench.pipelines.store_lineage import backup_created
        from data_workbench.provider.connections import airflow_connections

        with translated(), open_metastore() as metastore:
            settings, vault = _opened()
            keyring = open_keyring(settings)
            creation = Creation(vault, keyring, airflow_connections(), settings, metastore)
            author, asked = author_of(context), {"label": "scheduled"}
            with (
                recorded(metastore, "backup.create", vault.address, details=asked, author=author) as outcome,
                backup_created(creation) as sets,
            ):
                made = creation.create(label="scheduled")
                outcome["set"] = made.set
                sets.append(made)
        told = summary(made)
        self.log.info("set %s of %s, fence %s ms", told["set"], ", ".join(told["stores"]), told["fence_ms"])
        return told


class CheckBackupOperator(BaseOperator):
    """Verifies a set, the newest if none is named; fails unless all is well. It reads, and may be run again."""

    template_fields: Sequence[str] = ("set_id",)

    def __init__(self, *, set_id: str | None = None, drill: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.set_id = set_id
        self.drill = drill

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """What was found, kept beside the set and in the metastore."""
        from airflow.sdk.exceptions import AirflowFailException

        from data_workbench.backup.content import Reader
        from data_workbench.backup.keys import Keyring, identity_of
        from data_workbench.pipelines.store_lineage import backup_verified
        from data_workbench.recovery.verifying import keep, verify

        with translated(), open_metastore() as metastore:
            settings, vault = _opened()
            reader = Reader(vault, Keyring((), *identity_of(settings)), vault.find(self.set_id))
            with backup_verified(reader, settings) as told:
                report = verify(reader, settings, drill=self.drill)
                told |= report
            keep(reader, report, metastore)
        self.log.info("set %s: %s", report["set"], report["outcome"])
        if report["outcome"] != "passed":
            raise AirflowFailException(f"set {report['set']} is {report['outcome']}: {_why(report)}")
        return {name: report[name] for name in ("set", "kind", "outcome", "seconds")}


def _why(report: dict[str, Any]) -> str:
    drilled = (report["drill"] or {}).get("stores", {})
    reasons = [f"{name}: {one['reason']}" for name, one in drilled.items() if one["reason"]]
    return "; ".join([*report["problems"][:5], *reasons])


class PruneBackupsOperator(BaseOperator):
    """Removes sets past their time and chunks nobody needs; what is gone stays gone."""

    def execute(self, context: Context) -> dict[str, Any]:
        """How much was removed."""
        from datetime import UTC, datetime

        from data_workbench.audit import recorded
        from data_workbench.backup.creation import LOCK, LOCK_HINT
        from data_workbench.backup.retention import parse_policy, prune
        from data_workbench.metastore import hold_alone

        with translated(), open_metastore() as metastore, hold_alone(metastore, LOCK, hint=LOCK_HINT):
            settings, vault = _opened()
            policy = parse_policy(settings.backup_retention)
            author, asked = author_of(context), {"policy": vars(policy)}
            with recorded(metastore, "backup.prune", vault.address, details=asked, author=author) as outcome:
                done = prune(vault, policy, now=datetime.now(UTC))
                outcome |= {"removed": done.removed, "unfinished": done.unfinished, "chunks": done.chunks}
        self.log.info("kept %s sets, removed %s and %s chunks", len(done.kept), done.removed, done.chunks)
        if done.locked:
            self.log.info("%s files are needed no more, and still locked", len(done.locked))
        for name, kept in done.elsewhere.items():
            self.log.info("left to pgBackRest, which expires it by its own retention: %s (of %s)", kept, name)
        return {"kept": len(done.kept), "removed": len(done.removed), "chunks": done.chunks}


class WatchBackupsOperator(BaseOperator):
    """Looks at the repository, keeps what it sees for page and metrics, and tells what changed; it only reads."""

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """What is wrong, by cause; somebody is told by the alerts, so the task is well all the same."""
        from data_workbench.backup.watching import watch
        from data_workbench.metastore import connection_checks
        from data_workbench.pipelines.telling_quality import routing
        from data_workbench.provider.alerting import route_names
        from data_workbench.recovery.observing import observe

        with translated(), open_metastore() as metastore:
            settings, vault = _opened()
            seen = observe(vault, settings, metastore)
            states = connection_checks.states(metastore).values()
            found = watch(
                metastore,
                seen,
                settings,
                routes=routing(settings.alert_rules, route_names(settings)),
                broken_connections={one.connection for one in states if one.state == "broken"},
            )
        for one in found:
            self.log.warning("%s: %s", one.cause, one.title)
        told = seen.recoverable_whole
        return {"troubles": {one.cause: one.title for one in found}, "recoverable_to": told and told.isoformat()}


class ShipLogOperator(BaseOperator):
    """Sees that a PostgreSQL server's log is received and takes over what came; whatever was missed comes next time."""

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """Up to when PostgreSQL can go back."""
        from airflow.sdk.exceptions import AirflowSkipException

        from data_workbench.backup.keys import open_keyring
        from data_workbench.provider.connections import airflow_connections
        from data_workbench.recovery.logs import LogKeeper

        settings, vault = _opened()
        if not settings.point_in_time:
            raise AirflowSkipException("WORKBENCH_POINT_IN_TIME names no server")
        with translated():
            connection = airflow_connections().get(settings.point_in_time)
            told = LogKeeper(vault, open_keyring(settings), connection, settings).keep()
        self.log.info("%s segments taken over, recoverable to %s", told["shipped"], told["recoverable_to"])
        return told
