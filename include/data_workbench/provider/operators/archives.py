"""The tasks of the archives' DAGs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator  # noqa: TID253  # operators are classes of the SDK; a DAG file has it loaded

from data_workbench.provider.engine import author_of, open_metastore, told, translated

if TYPE_CHECKING:
    from airflow.sdk import Context

    from data_workbench.archive.policy import Policy
    from data_workbench.archive.running import Archiver, Outcome
    from data_workbench.errors import WorkbenchError
    from data_workbench.settings import Settings


@contextmanager
def _archiver(policies: str | None = None) -> Iterator[Archiver]:
    """Everything archiving needs; the shelf is said by whoever runs Airflow, so no list of folders bounds it."""
    from dataclasses import replace
    from pathlib import Path

    from data_workbench import settings as settings_module
    from data_workbench.archive.running import Archiver
    from data_workbench.archive.shelf import open_shelf
    from data_workbench.audit import open_keys
    from data_workbench.provider.connections import airflow_connections
    from data_workbench.records.arrow import prepare_process

    prepare_process()
    settings, connections = settings_module.load(), airflow_connections()
    if policies is not None:
        settings = replace(settings, archive_policies=Path(policies))
    keys = open_keys(settings, makes=True)
    assert keys is not None
    # A list of folders bounds what pipelines name; the shelf lies beside them.
    shelf = open_shelf(settings.archive_place, connections, replace(settings, file_roots=""), keys)
    with open_metastore() as metastore:
        yield Archiver(shelf, connections, settings, metastore)


def _read(settings: Settings) -> tuple[list[Policy], dict[str, WorkbenchError]]:
    """The folder's policies, and what is wrong with broken files, which keep no other from being carried out."""
    from data_workbench.errors import DefinitionError
    from data_workbench.pipelines.archive_policies import policy_files, read_policies

    found, findings = read_policies(policy_files(settings).values(), settings)
    return found, {"broken": DefinitionError(findings)} if findings else {}


@contextmanager
def _noting(policy: Policy, failed: dict[str, WorkbenchError]) -> Iterator[None]:
    """Note what a policy fails with, and go on: it keeps no other from being carried out."""
    from data_workbench.errors import WorkbenchError

    try:
        yield
    except WorkbenchError as error:
        failed[policy.archive] = error


def _require_none(failed: Mapping[str, WorkbenchError]) -> None:
    """Fail with what all of these failed with: for now where any may pass by itself, and what was done stays done."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    from data_workbench.errors import RetriableError

    if failed:
        passes = any(isinstance(one, RetriableError) for one in failed.values())
        kind = AirflowException if passes else AirflowFailException
        raise kind("; ".join(f"{name}: {told(error)}" for name, error in failed.items()))


class _PoliciesOperator(BaseOperator):
    """Works on the policies of a folder, which travels with the DAG bundle."""

    def __init__(self, *, policies: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.policies = policies


class ArchiveExpiredOperator(_PoliciesOperator):
    """Archives what is past its time by every policy; what a killed try left is taken up by the next."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Rows moved, by policy. A policy that fails does not keep the others from running."""
        from airflow.sdk.exceptions import AirflowSkipException

        moved: dict[str, Any] = {}
        with translated(), _archiver(self.policies) as archiver:
            policies, failed = _read(archiver.settings)
            if not policies and not failed:
                raise AirflowSkipException(f"no policy in {archiver.settings.archive_policies}")
            for policy in policies:
                with _noting(policy, failed):
                    done = self._carried_out(archiver, policy, context)
                    moved[policy.archive] = {"rows": done.rows, "archives": len(done.archives), "ratio": done.ratio}
                    if done.along:
                        moved[policy.archive]["along"] = done.along
                    self.log.info("%s: %s rows into %s archives", policy.archive, done.rows, len(done.archives))
        _require_none(failed)
        return moved

    def _carried_out(self, archiver: Archiver, policy: Policy, context: Context) -> Outcome:
        from data_workbench.audit import recorded
        from data_workbench.pipelines.archive_lineage import told as lineage

        asked = {"dataset": policy.dataset, "older_than": policy.age.older_than}
        author = author_of(context)
        with (
            recorded(archiver.metastore, "archive.run", policy.archive, details=asked, author=author) as outcome,
            lineage(archiver, "archive", policy.archive, connection=policy.connection, stream=policy.dataset) as moving,
        ):
            done = archiver.run(policy, now=context["dag_run"].run_after)
            moving.rows = done.rows
            outcome |= {"archives": done.archives, "rows": done.rows, "kept": done.kept}
        return done


class CompactArchivesOperator(_PoliciesOperator):
    """Makes one of a partition's small archives, by the policies that say `compact: true`; what is one stays one."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Archives made and replaced, by policy. A policy that fails does not keep the others from being compacted."""
        from airflow.sdk.exceptions import AirflowSkipException

        from data_workbench.archive.compaction import compact
        from data_workbench.audit import recorded

        fewer: dict[str, Any] = {}
        with translated(), _archiver(self.policies) as archiver:
            policies, failed = _read(archiver.settings)
            wanting = [one for one in policies if one.compact]
            if not wanting and not failed:
                raise AirflowSkipException(f"no policy in {archiver.settings.archive_policies} says `compact: true`")
            author = author_of(context)
            for policy in wanting:
                with (
                    _noting(policy, failed),
                    recorded(
                        archiver.metastore, "archive.compact", policy.archive, details={}, author=author
                    ) as outcome,
                ):
                    done = compact(archiver, policy)
                    outcome |= vars(done)
                    fewer[policy.archive] = {"made": len(done.made), "replaced": len(done.replaced), "rows": done.rows}
                    self.log.info("%s: %s archives became %s", policy.archive, len(done.replaced), len(done.made))
        _require_none(failed)
        return fewer


class ExpireArchivesOperator(_PoliciesOperator):
    """Removes archives whose retention is over, never one under a legal hold; what is gone stays gone."""

    def execute(self, context: Context) -> dict[str, Any]:
        """How many went, and how many a hold kept."""
        from data_workbench.archive.expiry import expire
        from data_workbench.audit import recorded
        from data_workbench.pipelines.archive_policies import all_policies

        with translated(), _archiver(self.policies) as archiver:
            now, policies = context["dag_run"].run_after, tuple(all_policies(archiver.settings))
            asked, author = {"now": now}, author_of(context)
            place = archiver.shelf.address
            with recorded(archiver.metastore, "archive.expire", place, details=asked, author=author) as outcome:
                done = expire(archiver, now=now, policies=policies)
                outcome |= vars(done)
        self.log.info("%s archives removed, %s held", len(done.removed), len(done.held))
        return {"removed": len(done.removed), "held": len(done.held), "rows": done.rows}


class CheckArchivesOperator(BaseOperator):
    """Verifies every archive; fails unless all is well. It reads, and may be run again."""

    def execute(self, context: Context) -> dict[str, Any]:
        """What was checked."""
        from airflow.sdk.exceptions import AirflowFailException

        from data_workbench.archive.scrubbing import verify_told

        with translated(), _archiver() as archiver:
            found = verify_told(archiver, author=author_of(context))
        for name, problems in found.problems.items():
            self.log.error("%s: %s", name or "shelf", "; ".join(problems))
        if not found.is_sound:
            names = ", ".join(name or "the shelf" for name in list(found.problems)[:10])
            raise AirflowFailException(f"{len(found.problems)} archives are not as they were written: {names}")
        return {"archives": found.archives, "parts": found.parts, "rows": found.rows, "bytes": found.bytes}


class WatchArchivesOperator(_PoliciesOperator):
    """Looks at the shelf and at what the policies' last runs came to, and tells what changed; it only reads."""

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """What is wrong, by cause; somebody is told by the alerts, so the task is well all the same."""
        from data_workbench.archive.watching import watch
        from data_workbench.pipelines.archive_policies import all_policies
        from data_workbench.pipelines.telling_quality import routing
        from data_workbench.provider.alerting import route_names

        with translated(), _archiver(self.policies) as archiver:
            settings = archiver.settings
            routes = routing(settings.alert_rules, route_names(settings))
            found = watch(archiver.metastore, archiver.shelf, all_policies(settings), settings, routes=routes)
        for one in found:
            self.log.warning("%s: %s", one.cause, one.title)
        return {"troubles": {one.cause: one.title for one in found}}
