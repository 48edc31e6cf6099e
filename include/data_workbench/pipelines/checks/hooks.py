"""Hooks of destinations: one statement each, with params the pipeline has."""

from __future__ import annotations

from data_workbench.language.yaml_tree import Path
from data_workbench.mapping.hooks import params_of, refusal
from data_workbench.pipelines.checks.report import Report
from data_workbench.records.names import near_names


def check_hooks(report: Report) -> None:
    """Check every hook as far as its text tells; what the store makes of it, only the store knows."""
    for name, item in report.definition.spec.destinations.items():
        for when in ("before", "after"):
            for position, one in enumerate(getattr(item.hooks, when, ())):
                path: Path = ("destinations", name, "hooks", when, position, one.language)
                problem = refusal(one.language, one.statement)
                if problem is not None:
                    report.say(path, problem)
                for param in params_of(one.language, one.statement):
                    if param not in report.params:
                        hint = near_names(param, report.params)
                        report.say(path, f"hook: unknown param ${param}", hint=hint)
