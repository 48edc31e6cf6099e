"""What a comparison of the stores means for its run: the errors that name what differs, or what breaks a contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_workbench.errors import ContractViolated, ReconciliationFailed
from data_workbench.pipelines import standing


def broken(run_id: str, checks: list[dict[str, Any]]) -> ContractViolated | None:
    """What fails a run whose stores agree with it: rows that stand there and break a contract."""
    told = standing.broken(checks)
    if not told:
        return None
    return ContractViolated(
        f"what stands in the stores breaks the contract ({'; '.join(told[:5])})",
        hint="see `checks` in the run's document for keys; `workbench check PIPELINE` looks again",
        run_id=run_id,
    )


def unclean(run_id: str, answer: Mapping[str, Any]) -> ReconciliationFailed:
    """What fails a run whose stores differ from what was loaded."""
    told = []
    for name, counts in answer["destinations"].items():
        nested = {**(counts.get("relationships") or {}), **(counts.get("vectors") or {})}
        found = {
            what: count
            for what, count in {**counts, **nested}.items()
            if isinstance(count, int) and count and what not in ("foreign", "held", "repaired")
        }
        if found:
            told.append(f"{name}: " + ", ".join(f"{count} {what}" for what, count in found.items()))
    return ReconciliationFailed(
        f"the stores differ from what was loaded ({'; '.join(told)})",
        hint="see `workbench reconcile PIPELINE`, then repair with --repair",
        run_id=run_id,
    )
