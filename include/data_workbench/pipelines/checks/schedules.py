"""When a pipeline runs, and the values it can be given."""

from __future__ import annotations

from data_workbench.errors import UsageError
from data_workbench.language.params import read_params
from data_workbench.language.partitions import TimePartitions
from data_workbench.language.schedules import (
    ClockSchedule,
    CronSchedule,
    FileSchedule,
    TimetableSchedule,
    TopicSchedule,
)
from data_workbench.language.spec import Param
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.arrivals import unmet_schedule
from data_workbench.pipelines.checks.connections import check_connection, check_path
from data_workbench.pipelines.checks.report import Report
from data_workbench.records.names import near_names

_PRESETS = ("@continuous", "@once", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_PARTITIONS = "add partitions: {grain: day, from: PARAM, to: PARAM, start: …}"
_TIMED = (CronSchedule, ClockSchedule, TimetableSchedule)
"""Schedules whose runs have a time."""
_PARTS = ("minute", "hour", "day of the month", "month", "day of the week")


def check_schedules(report: Report) -> None:
    """Check the schedule and that of the full comparison."""
    spec = report.definition.spec
    if isinstance(spec.schedule, str):
        _check_cron(report, ("schedule",), spec.schedule, presets=_PRESETS)
    elif isinstance(spec.schedule, CronSchedule):
        _check_crons(report, spec.schedule)
    elif isinstance(spec.schedule, FileSchedule):
        check_path(report, ("schedule", "file"), spec.schedule.file)
        if spec.schedule.connection is not None:
            check_connection(report, ("schedule", "connection"), spec.schedule.connection)
    elif isinstance(spec.schedule, TopicSchedule):
        check_connection(report, ("schedule", "connection"), spec.schedule.connection)
    unmet = unmet_schedule(report.definition)
    if unmet is not None:
        report.findings.append(unmet)
    if spec.reconcile.full is not None:
        _check_cron(report, ("reconcile", "full"), spec.reconcile.full, presets=_PRESETS[2:])
    _check_catchup(report)


def _check_crons(report: Report, schedule: CronSchedule) -> None:
    from zoneinfo import ZoneInfo, available_timezones

    for position, text in enumerate(schedule.cron):
        _check_cron(report, report.item(("schedule", "cron"), position), text, presets=_PRESETS[2:])
    try:
        ZoneInfo(schedule.timezone)
    except (ValueError, OSError, KeyError):  # no such zone, or no name of one
        hint = near_names(schedule.timezone, available_timezones())
        report.say(("schedule", "timezone"), f"no time zone {schedule.timezone[:60]!r} is known", hint=hint)


def _check_catchup(report: Report) -> None:
    """`catchup` has something to catch up with, and scheduled runs of partitions know which one they are for."""
    spec = report.definition.spec
    clock = isinstance(spec.schedule, CronSchedule) and len(spec.schedule.cron) == 1
    clock = clock or (isinstance(spec.schedule, str) and spec.schedule not in _PRESETS[:2])
    by_time = isinstance(spec.partitions, TimePartitions)
    if spec.catchup and spec.schedule is not None:  # an environment may have switched it off
        if not clock:
            report.say(("catchup",), "only runs by one cron text can be caught up with", hint='schedule: "0 1 * * *"')
        elif not isinstance(spec.partitions, TimePartitions):
            report.say(("catchup",), "without partitions by time every run would read the same", hint=_PARTITIONS)
        elif spec.partitions.start is None:
            report.say(("catchup",), "where the first partition begins is not known", hint="add partitions: {start: …}")
        if spec.on_overlap == "skip":
            report.say(("on_overlap",), "with catchup no run may be passed over", hint="leave one of them out")
    elif by_time and spec.schedule is not None and not clock and not isinstance(spec.schedule, _TIMED):
        message = "a run by this schedule is for no partition by time: its params would be empty"
        report.say(("schedule",), message, hint="use a schedule by the clock, or null and `workbench backfill`")
    elif spec.partitions is not None and not by_time and spec.schedule is not None:
        needed = [name for name in spec.partitions.params if name in spec.params and spec.params[name].default is None]
        if needed:
            message = f"a run by schedule has no value for param {needed[0]!r}, which its partition gives"
            report.say(("schedule",), message, hint="schedule: null and `workbench backfill`, or a default")


def _check_cron(report: Report, path: Path, text: str, *, presets: tuple[str, ...]) -> None:
    from croniter import CroniterBadDateError, croniter

    if text.startswith("@"):
        if text not in presets:
            report.say(path, f"unknown schedule {text!r}", hint=near_names(text, presets))
        return
    parts = text.split()
    if len(parts) != len(_PARTS):
        hint = f"five parts: {', '.join(_PARTS)}; for example */15 * * * *"
        report.say(
            path, f"{text!r} is no cron expression: it has {len(parts)} part{'s' * (len(parts) != 1)}", hint=hint
        )
        return
    for name, part, others in zip(_PARTS, parts, range(5), strict=True):
        alone = " ".join(part if at == others else "*" for at in range(5))
        if part[:1].upper() in ("R", "H") or not croniter.is_valid(alone):
            report.say(path, f"{text!r} is no cron expression: {part!r} is no {name}", hint="see crontab(5)")
            return
    try:
        croniter(text, max_years_between_matches=8).get_next()
    except CroniterBadDateError:
        report.say(path, f"{text!r} never comes", hint="no month has that day")


def check_params(report: Report) -> None:
    """Check that defaults and allowed values have the type the param declares."""
    for name, param in report.definition.spec.params.items():
        path: Path = ("params", name)
        for position, value in enumerate(param.values or []):
            _check_value(report, (*path, "values", position), name, param.model_copy(update={"values": None}), value)
        if param.default is not None:
            _check_value(report, (*path, "default"), name, param, param.default)


def _check_value(report: Report, path: Path, name: str, param: Param, value: object) -> None:
    try:
        read_params({name: param.model_copy(update={"default": None})}, {name: value})
    except UsageError as error:
        report.say(path, error.message, hint=error.hint)
