"""How many rows may be set aside before a run fails: `max_quarantined` of a pipeline or of a node's contract.

Asked after staging and before any load, so that a source gone bad publishes nothing. The rows stay in the quarantine.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from data_workbench.errors import ContractViolated
from data_workbench.pipelines.staging import QUARANTINE
from data_workbench.records.definitions import most_of

if TYPE_CHECKING:
    from data_workbench.artifacts import ArtifactStore
    from data_workbench.pipelines.staging import StageResult
    from data_workbench.pipelines.work import Work
    from data_workbench.records.accounting import SourceCounts

_MOST_RULES = 20


def check_quarantined(work: Work, result: StageResult, artifacts: ArtifactStore) -> None:
    """Hold the stage's counts against the limits.

    Raises:
        ContractViolated: more rows were set aside than allowed; the message has the count of each rule.
    """
    for node, limit, rows, quarantined in _limited(work, result):
        if quarantined > most_of(limit, rows):
            where = f"of {node!r}" if node else "read"
            rules = ", ".join(f"{rule}: {count}" for rule, count in _rules(work, artifacts, node))
            raise ContractViolated(
                f"{quarantined} of {rows} rows {where} were set aside ({_share(quarantined, rows)}), "
                f"max_quarantined is {limit}: {rules}",
                hint=f"nothing was loaded; see `workbench quarantine list {work.plan.pipeline}`, correct the source or "
                "the rule and run again, or raise max_quarantined",
                run_id=work.run_id,
            )


def _limited(work: Work, result: StageResult) -> list[tuple[str | None, int | str, int, int]]:
    """Each limit with the node it is of (None is the pipeline), the rows it is of, and those set aside."""
    found: list[tuple[str | None, int | str, int, int]] = []
    for node, contract in work.plan.contracts.items():
        limit = contract.get("max_quarantined")
        if limit is None:
            continue
        if node in result.sources:
            found.append((node, limit, _fresh(result.sources[node]), result.sources[node].quarantined))
        elif node in result.steps:
            step = result.steps[node]
            found.append((node, limit, step.in_ + step.expanded, step.quarantined))
    if work.plan.max_quarantined is not None:
        read = sum(_fresh(counts) for counts in result.sources.values())
        quarantined = sum(counts.quarantined for counts in result.sources.values())
        quarantined += sum(counts.quarantined for counts in result.steps.values())
        found.append((None, work.plan.max_quarantined, read, quarantined))
    return found


def _fresh(counts: SourceCounts) -> int:
    """Rows read, without those that the overlap of an incremental read brings again: they would thin out any share."""
    return counts.read - counts.deduplicated


def _rules(work: Work, artifacts: ArtifactStore, node: str | None) -> list[tuple[str, int]]:
    """Broken rules with their rows, the most frequent first; a row may have broken several."""
    counts: Counter[str] = Counter()
    manifest = artifacts.find(work.plan.pipeline, work.run_id, QUARANTINE)
    for batch in manifest.iter_batches(["node", "rules"]) if manifest else ():
        for row in batch.to_pylist():
            if node in (None, row["node"]):
                counts.update(f"{row['node']}: {rule}" if node is None else rule for rule in row["rules"])
    for name in work.plan.sources:
        landed = artifacts.find(work.plan.pipeline, work.run_id, f"source.{name}")
        if landed is not None and node in (None, name):
            counts.update(item["rule"] for item in landed.extra.get("rejections", ()))
    return counts.most_common(_MOST_RULES)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "all"
