"""What a pipeline waits for beside the clock: whose files, and which params a message can give.

`lint` and the DAG loader ask alike; the loader may import nothing slow, so this stands apart from the checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_workbench.language.schedules import FileSchedule, TopicSchedule
from data_workbench.language.spec import Pipeline
from data_workbench.records.definitions import Mistake

if TYPE_CHECKING:
    from data_workbench.errors import Finding
    from data_workbench.language.definition import Definition


def unmet_schedule(definition: Definition) -> Finding | None:
    """Why a schedule by files or messages would never run the pipeline; None if it will, or is of another kind."""
    spec = definition.spec
    try:
        if isinstance(spec.schedule, FileSchedule):
            watched_connection(spec)
        elif isinstance(spec.schedule, TopicSchedule):
            unknown = sorted(set(spec.schedule.params) - set(spec.params))
            if unknown:
                raise Mistake(
                    f"no param {unknown[0]!r} is declared", at="params", hint=f"add it to params: {unknown[0]}: {{…}}"
                )
    except Mistake as mistake:
        return definition.finding(("schedule", str(mistake.at)), mistake.message, hint=mistake.hint)
    return None


def watched_connection(spec: Pipeline) -> str:
    """The connection whose files a file schedule watches: named, or that of the sources that read the same stream.

    Raises:
        Mistake: sources of several connections read it, or none.
    """
    schedule = spec.schedule
    assert isinstance(schedule, FileSchedule)
    if schedule.connection is not None:
        return schedule.connection
    # The stream of a member of an archive begins with its file: drops/*.zip!orders.csv
    found = {source.connection for source in spec.sources.values() if source.stream.partition("!")[0] == schedule.file}
    if len(found) != 1:
        raise Mistake(
            f"{schedule.file!r} is not the stream of one source, so whose files to watch is not clear",
            at="file",
            hint="name their connection: {file: …, connection: ID}",
        )
    return found.pop()
