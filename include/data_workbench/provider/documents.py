"""The page of a pipeline's DAG: what it does, who is hurt, how to triage and rerun; made from its YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_workbench.language.schedules import (
    AliasSchedule,
    ClockSchedule,
    CronSchedule,
    DatasetSchedule,
    FileSchedule,
    TimetableSchedule,
    TopicSchedule,
)
from data_workbench.pipelines.arrivals import watched_connection
from data_workbench.pipelines.datasets import dataset_names

if TYPE_CHECKING:
    from data_workbench.errors import Finding
    from data_workbench.language.definition import Definition
    from data_workbench.language.spec import Pipeline

_RUN = """\
### When it fails
1. The red task's log ends with the error, its kind and the next step. `StoreUnavailable`, `StoreBusy`: it was retried
   with growing pauses; look at the server, then clear the task. Others fail at once: trying again changes nothing.
2. `stage` red: nothing was written to a destination. `load.*` red: the other destinations stand; clear only this task.
   `reconcile` red: the data stands, and the table in its log says where the stores differ.
3. Rows set aside: `workbench quarantine list {name}`.

### How to rerun
Clear the failed task: finished stages are not done again, nothing is doubled. A new run reads what changed since the
last good one; trigger with `full_refresh` to read everything. `workbench run {name}` does the same without Airflow.
"""


def pipeline_doc(definition: Definition, *, file: str) -> str:
    """`doc_md` of `pipeline__<name>`."""
    spec = definition.spec
    facts = (
        f"**When**: {schedule_words(spec)}  \n**Owner**: {spec.owner or 'nobody named'}  \n"
        f"**Who is hurt if it fails**: whoever reads {', '.join(_written(spec))}; what stands there grows old  \n"
        f"**File**: `{file}`"
    )
    parts = [
        spec.description or f"The pipeline `{spec.pipeline}`.",
        facts,
        _table(("source", "connection", "reads", "how"), _sources(spec)),
        _table(("destination", "connection", "writes", "disposition"), _destinations(spec)),
        _RUN.format(name=spec.pipeline),
    ]
    return "\n\n".join(parts)


def reconcile_doc(spec: Pipeline, *, file: str) -> str:
    """`doc_md` of `reconcile__<name>`."""
    return (
        f"Compares everything `{spec.pipeline}` owns in its destinations with its sources as they are now.\n\n"
        f"**When**: `{spec.reconcile.full}` (UTC)  \n**Owner**: {spec.owner or 'nobody named'}  \n"
        f"**Who is hurt if it fails**: readers of {', '.join(_written(spec))} may see what the sources do not say  \n"
        f"**File**: `{file}`\n\n"
        "### When it fails\nThe table in the log says what is missing, surplus or stale, per destination. Trigger it "
        "with `repair` to write what is missing or stale, with `delete` to remove what is surplus.\n\n"
        "### How to rerun\nClear the task, or trigger: it changes nothing unless asked to."
    )


def backfill_doc(spec: Pipeline, *, file: str) -> str:
    """`doc_md` of `backfill__<name>`."""
    return (
        f"Runs `{spec.pipeline}` over its partitions, each a run of its own and each exactly once.\n\n"
        f"**When**: only when asked for (UI, `POST /data/backfills`)  \n**Owner**: {spec.owner or 'nobody named'}  \n"
        f"**Who is hurt if it fails**: readers of {', '.join(_written(spec))} miss the partitions it names  \n"
        f"**File**: `{file}`\n\n"
        "### When it fails\nThe log of `finish` names the partitions that have not come and why; their runs are on the "
        "pipeline's page. A lane (`work`) that is red was stopped by a store or a run of the pipeline: clear it.\n\n"
        "### How to rerun\nClear the red tasks: a partition that has come is not run again. Trigger with the same span "
        "and `retry_failed` to try those that failed. `workbench backfill` does the same without Airflow."
    )


def broken_doc(findings: Sequence[Finding], *, file: str) -> str:
    """`doc_md` of a file with mistakes."""
    rows = [(f"{one.line}:{one.column}", one.message, one.hint or "") for one in findings]
    return (
        f"The pipeline file `{file}` is **broken**: nothing of it runs until it is mended.\n\n"
        + _table(("line:column", "what", "meant"), rows)
        + "\n\n### How to triage\nMend the file; `workbench lint` says the same. This DAG gives way to the pipeline's "
        "own on the next parse."
    )


def schedule_words(spec: Pipeline) -> str:
    """The schedule for people."""
    match spec.schedule:
        case None:
            return "only when asked for (UI, REST)"
        case str() as text:
            return f"`{text}`" + ("" if text.startswith("@") else " (UTC)")
        case CronSchedule(cron=texts, timezone=zone):
            return " and ".join(f"`{text}`" for text in texts) + f" ({zone})"
        case ClockSchedule(every=every):
            return f"every {every}"
        case TimetableSchedule(timetable=name):
            return f"by the timetable `{name}`"
        case DatasetSchedule(dataset=names):
            return "after an update of " + " and ".join(f"`{name}`" for name in _listed(names))
        case AliasSchedule(alias=names):
            return "after an update of what is named " + " and ".join(f"`{name}`" for name in _listed(names))
        case FileSchedule(file=pattern, every=every):
            seconds = every.total_seconds()
            return f"when files `{pattern}` of `{watched_connection(spec)}` are new or changed (every {seconds:g} s)"
        case TopicSchedule(topic=topic, connection=broker):
            return f"when messages have come on topic `{topic}` of `{broker}`"


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _sources(spec: Pipeline) -> list[tuple[str, ...]]:
    return [
        (name, item.connection, item.stream, f"changes by {item.cursor.column}" if item.cursor else "in full")
        for name, item in spec.sources.items()
    ]


def _destinations(spec: Pipeline) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, item in spec.destinations.items():
        written = ", ".join(one.removeprefix(f"{item.connection}:") for one in dataset_names(item))
        rows.append((name, item.connection, written, item.write))
    return rows


def _written(spec: Pipeline) -> list[str]:
    return [f"`{name}`" for item in spec.destinations.values() for name in dataset_names(item)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
