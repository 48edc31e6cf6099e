"""Runs all checks over a definition, a file or a folder of files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from data_workbench.errors import DefinitionError, Finding, UsageError
from data_workbench.language.definition import Definition, in_order, load_definition
from data_workbench.language.kinds import kind_of
from data_workbench.language.project import load_project
from data_workbench.language.resolve import resolve
from data_workbench.language.rule_files import ENDING, TEMPLATE_ENDING, TESTS_ENDING, load_rule_set
from data_workbench.language.templates import load_template
from data_workbench.pipelines.checks.columns import check_columns
from data_workbench.pipelines.checks.contract_files import lint_contract
from data_workbench.pipelines.checks.contracts import check_contracts
from data_workbench.pipelines.checks.destinations import check_destinations
from data_workbench.pipelines.checks.environments import check_environments
from data_workbench.pipelines.checks.files import check_file_sources
from data_workbench.pipelines.checks.hooks import check_hooks
from data_workbench.pipelines.checks.partitions import check_partitions
from data_workbench.pipelines.checks.report import Report
from data_workbench.pipelines.checks.schedules import check_params, check_schedules
from data_workbench.pipelines.checks.spark import check_spark
from data_workbench.pipelines.checks.streams import check_streams
from data_workbench.pipelines.checks.together import check_together
from data_workbench.pipelines.checks.typing import check_types
from data_workbench.settings import Settings, load

_ENDINGS = (".yaml", ".yml")


def lint(definition: Definition) -> list[Finding]:
    """Everything in a definition that cannot be right, from top to bottom. Style is no finding."""
    report = Report(definition)
    resolved = resolve(definition.spec)
    for problem in resolved.problems:
        report.say(problem.path, problem.message, hint=problem.hint)
    check_params(report)
    check_schedules(report)
    check_environments(report)
    check_partitions(report)
    flow = check_columns(report, resolved)
    check_file_sources(report)
    check_contracts(report, flow)
    check_destinations(report, flow, resolved)
    check_streams(report, resolved)
    check_hooks(report)
    check_types(report, resolved)
    check_spark(report, resolved)
    return in_order(report.findings)


def load_checked(path: str | Path, *, settings: Settings | None = None) -> Definition:
    """Load a pipeline file and lint it.

    Raises:
        UsageError: the file cannot be read.
        DefinitionError: it is broken, or something in it does not fit together.
    """
    definition = load_definition(path, settings=settings)
    findings = lint(definition)
    if findings:
        raise DefinitionError(findings)
    return definition


def lint_paths(
    paths: Iterable[str | Path], *, settings: Settings | None = None
) -> tuple[list[Finding], list[Definition]]:
    """Lint files, and the *.yaml and *.yml files below folders; a pipeline's name may stand in one file only.

    The project file is checked with them, and what only several files together show. Files `*.rules.yaml` are checked
    as sets of rules, `*.template.yaml` as templates, `*.test.yaml` as tests of the pipeline beside them; others as what
    they say they are: pipelines, contracts of datasets, policies of archiving, watches.

    Raises:
        UsageError: a path does not exist, or cannot be read.
    """
    settings = settings or load()
    findings = _project_findings(settings)
    definitions: list[Definition] = []
    policies: list[Path] = []
    # By the file itself: it may be given twice, by its path and within a folder.
    files = {file.resolve(): file for path in paths for file in files_of(Path(path))}
    for file in files.values():
        if file.name == settings.project.name:
            if file.resolve() != settings.project.resolve():  # of another site, or of this one from elsewhere
                findings.extend(_project_findings(replace(settings, project=file, environment="")))
            continue
        try:
            if file.name.endswith(ENDING):
                load_rule_set(file, settings.max_definition_bytes)
                continue
            if file.name.endswith(TEMPLATE_ENDING):
                load_template(file, settings.max_definition_bytes)
                continue
            if file.name.endswith(TESTS_ENDING):
                from data_workbench.pipelines.testing.files import load_case_file  # which lints its pipeline

                load_case_file(file, settings)
                continue
            kind = kind_of(file)
            if kind == "contract":
                findings.extend(lint_contract(file, settings))
                continue
            if kind == "policy":
                policies.append(file)
                continue
            if kind == "watches":
                from data_workbench.pipelines.watch_files import parse_watches  # which knows the stores

                parse_watches(file.read_text(encoding="utf-8"), file)
                continue
            definition = load_definition(file, settings=settings)
        except DefinitionError as error:
            findings.extend(error.findings)
            continue
        definitions.append(definition)
        findings.extend(lint(definition))
    if policies:
        from data_workbench.pipelines.archive_policies import read_policies  # which knows the stores

        findings.extend(read_policies(policies, settings)[1])
    findings.extend(check_together(definitions))
    return in_order(findings), definitions


def _project_findings(settings: Settings) -> list[Finding]:
    """What is wrong with the project file, if there is one: every pipeline is read with it."""
    try:
        load_project(settings)
    except DefinitionError as error:
        return list(error.findings)
    return []


def files_of(path: Path) -> list[Path]:
    """A file, or the *.yaml and *.yml files below a folder. Raises UsageError."""
    if path.is_dir():
        try:
            found = sorted(one for one in path.rglob("*") if one.suffix in _ENDINGS and one.is_file())
        except OSError as error:
            raise UsageError(f"cannot read folder {str(path)!r}: {error.strerror}") from None
        return found
    if not path.exists():
        raise UsageError(f"no file or folder {str(path)!r}", hint="give a .yaml file, or a folder with some")
    return [path]
