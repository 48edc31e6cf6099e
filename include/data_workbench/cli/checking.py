"""`check`: what stands in the stores now, held against the contracts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli import tables
from data_workbench.cli.answer import command, say_json
from data_workbench.cli.pipelines import find_definition, load, runner
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.pipelines.standing import StandingContract


@command(root)
@click.argument("subject", required=False)
def check(subject: str | None, as_json: bool) -> None:
    """Check what stands in stores now: of a PIPELINE or FILE, a CONTRACT, a DATASET, or all of them."""
    from data_workbench.notifications import deliver
    from data_workbench.pipelines.contracts import Contracts
    from data_workbench.pipelines.upkeep import Upkeep
    from data_workbench.provider.alerting import route_names
    from data_workbench.provider.alerting import routes as receivers
    from data_workbench.records.arrow import prepare_process

    prepare_process()
    session = Session()
    with runner(session) as engine:
        routes = route_names(session.settings)
        contracts = Contracts(session.settings, session.connections, engine.metastore, routes)
        alone = contracts.find(subject)
        found = contracts.check(alone)
        is_file = subject is not None and Path(subject).is_file()
        definitions, wanted = ([], _nothing) if alone and is_file else _chosen(session, subject)
        if alone and routes:
            deliver(engine.metastore, receivers(session.settings, session.connections, None))
        upkeep = Upkeep(engine)
        found += [one for definition in definitions for one in upkeep.check(definition, wanted=wanted)]
    if subject is not None and not found:
        raise UsageError(
            f"nothing is checked for {subject!r}",
            hint="name a contract, a pipeline with one, PIPELINE.NODE, or a dataset as CONNECTION:NAME",
        )
    if as_json:
        say_json({"checks": found})
    else:
        tables.say_checks(found)
    if any(_is_trouble(one) for one in found):
        sys.exit(1)


def _nothing(_: StandingContract) -> bool:
    return False


def _is_trouble(check: dict[str, Any]) -> bool:
    """Failed, or a dataset that could not be looked at; a rule that nobody can check on a store is none."""
    return check["outcome"] == "failed" or (check["outcome"] == "not_evaluated" and check["reason"] is not None)


def _chosen(session: Session, subject: str | None) -> tuple[list[Definition], Callable[[StandingContract], bool]]:
    """The pipelines to open, and which of their contracts on stores are meant."""
    if subject is not None:
        try:
            find_definition(session, subject)
        except UsageError:
            return _all(session), lambda one: subject in (one.dataset, one.node, f"{one.pipeline}.{one.node}")
        return [load(session, subject)], lambda _: True
    return _all(session), lambda _: True


def _all(session: Session) -> list[Definition]:
    from data_workbench.language.rule_files import is_pipeline_file

    files: list[Path] = sorted(filter(is_pipeline_file, session.settings.pipelines.glob("*")))
    found = [load(session, str(file)) for file in files]
    return [one for one in found if one.spec.contract]
