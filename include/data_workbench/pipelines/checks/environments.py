"""What a pipeline says of its environments, each checked as if it were the one that is on."""

from __future__ import annotations

from data_workbench.errors import DefinitionError
from data_workbench.pipelines.checks.report import Report
from data_workbench.pipelines.checks.schedules import check_params, check_schedules
from data_workbench.records.names import near_names


def check_environments(report: Report) -> None:
    """Check names against the project file's, and the schedule and params that come of each."""
    project = report.definition.around.project
    for name in report.definition.spec.environments:
        if project is not None and name not in project.environments:
            hint = near_names(name, project.environments)
            report.say(("environments", name), f"{project.path} has no environment {name!r}", hint=hint, key=True)
        try:
            there = Report(report.definition.in_environment(name))
        except DefinitionError as error:
            report.findings.extend(error.findings)
            continue
        check_params(there)
        check_schedules(there)
        report.findings.extend(there.findings)
