"""The second opinion on accepted rows: Soda's checks over what the compiled predicates let through.

The predicates are the authority that splits rows; where Soda finds a failing row among the accepted ones, one of the
two is wrong, and the run fails before anything is loaded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from data_workbench.errors import ContractViolated
from data_workbench.events import emit
from data_workbench.quality.contract import Contract

if TYPE_CHECKING:
    from data_workbench.pipelines.load import LoadInput
    from data_workbench.pipelines.work import Work

log = logging.getLogger(__name__)


def check_accepted(work: Work, inputs: Callable[[str], LoadInput]) -> None:
    """Run Soda on every staged node that has a contract.

    Raises:
        ContractViolated: Soda finds rows that the predicates accepted.
    """
    from data_workbench.quality.soda import verify

    staged = {node.name for node in work.plan.transform.nodes if node.is_needed}
    for node, written in work.plan.contracts.items():
        contract = Contract.model_validate(written, strict=False)
        if node not in staged or contract.on_invalid == "warn" or not inputs(node).manifest.rows:
            continue
        started = time.monotonic()
        results = verify(contract, inputs(node).manifest.dataset(), node)
        facts = {"pipeline": work.plan.pipeline, "run_id": work.run_id, "node": node}
        emit("stage.checked", **facts, seconds=time.monotonic() - started)
        for result in results:
            log.info("run %s: %s %s: %s", work.run_id, node, result.name, result.outcome)
            if result.outcome == "failed":
                raise ContractViolated(
                    f"Soda's check {result.name!r} on {node!r} fails for {result.failing} rows that were accepted",
                    hint="the two disagree, which is a defect: report it with the contract",
                    run_id=work.run_id,
                )
