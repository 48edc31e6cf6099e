"""From a pipeline's schedule to what Airflow calls one, and from the time of a run to the partition it is for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from data_workbench import settings as settings_module
from data_workbench.language.partitions import TimePartitions, first_end, partition_before, typed
from data_workbench.language.schedules import (
    AliasSchedule,
    ClockSchedule,
    CronSchedule,
    DatasetSchedule,
    FileSchedule,
    TimetableSchedule,
    TopicSchedule,
)
from data_workbench.provider.assets import arrivals_of, asset_of, messages_of
from data_workbench.settings import is_listed

if TYPE_CHECKING:
    from data_workbench.language.spec import Pipeline

# Left to itself, Airflow runs a DAG the moment it is unpaused if its time has just passed: such a run would come
# between an operator who unpauses it and the run he then asks for.
_NOT_AT_ONCE = timedelta(0)
_AIRFLOWS_OWN = "airflow.sdk:airflow.timetables"


def schedule_of(spec: Pipeline) -> Any:
    """Airflow's schedule.

    Raises:
        ValueError: it names a timetable that is none, or cannot be made.
    """
    from airflow.sdk import AssetAlias, CronTriggerTimetable, DeltaTriggerTimetable, MultipleCronTriggerTimetable

    match spec.schedule:
        case DatasetSchedule(dataset=names):
            return [asset_of(name) for name in ([names] if isinstance(names, str) else names)]
        case AliasSchedule(alias=names):
            return [AssetAlias(name) for name in ([names] if isinstance(names, str) else names)]
        case FileSchedule():
            return [arrivals_of(spec)]
        case TopicSchedule():
            return [messages_of(spec)]
        case None | "@continuous" | "@once":
            return spec.schedule
        case ClockSchedule(every=every):
            return DeltaTriggerTimetable(every)
        case TimetableSchedule() as given:
            return _made(given)
        case CronSchedule(cron=[text], timezone=zone):
            return CronTriggerTimetable(text, timezone=zone, run_immediately=_NOT_AT_ONCE)
        case CronSchedule(cron=texts, timezone=zone):
            return MultipleCronTriggerTimetable(*texts, timezone=zone, run_immediately=_NOT_AT_ONCE)
    return CronTriggerTimetable(str(spec.schedule), timezone="UTC", run_immediately=_NOT_AT_ONCE)


def _made(given: TimetableSchedule) -> Any:
    from airflow.sdk.bases.timetable import BaseTimetable
    from airflow.timetables.base import Timetable

    module, _, name = given.timetable.partition(":")
    if not is_listed(module, f"{_AIRFLOWS_OWN}:{settings_module.load().python_modules}"):
        # Importing runs a module's code, where the DAG is parsed and whoever may write a pipeline file says which.
        raise ValueError(f"module {module!r} is neither Airflow's nor listed in WORKBENCH_PYTHON_MODULES")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"there is no class {given.timetable!r} ({error})") from error
    # `issubclass` of Airflow's protocol raises for a class that does not derive from it.
    if not (isinstance(found, type) and {BaseTimetable, Timetable} & set(found.__mro__)):
        raise ValueError(f"{given.timetable!r} is not a timetable")
    try:
        return found(**given.arguments)
    except TypeError as error:
        raise ValueError(f"{given.timetable!r} does not take these arguments: {error}") from error


def first_moment(spec: Pipeline) -> datetime | None:
    """When the first run of a pipeline that catches up may be: at the end of its first partition."""
    is_by_time = spec.catchup and isinstance(spec.partitions, TimePartitions)
    return first_end(spec.partitions) if is_by_time else None  # type: ignore[arg-type]  # it is by time


def partition_params(spec: Pipeline, conf: Mapping[str, Any] | None, logical_date: datetime | None) -> dict[str, Any]:
    """The params of a run that has a time: of the last partition that was over by then; nothing if some were given."""
    given = spec.partitions
    if not isinstance(given, TimePartitions) or logical_date is None or set(given.params) & set(conf or {}):
        return {}
    return typed(partition_before(given, logical_date), spec.param_types).params
