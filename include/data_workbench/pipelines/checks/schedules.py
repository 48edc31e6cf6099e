"""When a pipeline runs, and the values it can be given."""

from __future__ import annotations

from data_workbench.errors import UsageError
from data_workbench.pipelines.arrivals import unmet_schedule
from data_workbench.pipelines.checks.connections import check_connection, check_path
from data_workbench.pipelines.checks.report import Report
from data_workbench.pipelines.params import read_params
from data_workbench.pipelines.spec import FileSchedule, Param
from data_workbench.pipelines.yaml_tree import Path
from data_workbench.records.names import near_names

_PRESETS = ("@continuous", "@once", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_PARTS = ("minute", "hour", "day of the month", "month", "day of the week")


def check_schedules(report: Report) -> None:
    """Check the schedule and that of the full comparison."""
    spec = report.definition.spec
    if isinstance(spec.schedule, str):
        _check_cron(report, ("schedule",), spec.schedule, presets=_PRESETS)
    elif isinstance(spec.schedule, FileSchedule):
        check_path(report, ("schedule", "file"), spec.schedule.file)
        if spec.schedule.connection is not None:
            check_connection(report, ("schedule", "connection"), spec.schedule.connection)
    unmet = unmet_schedule(report.definition)
    if unmet is not None:
        report.findings.append(unmet)
    if spec.reconcile.full is not None:
        _check_cron(report, ("reconcile", "full"), spec.reconcile.full, presets=_PRESETS[2:])


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
