"""Sources that stand for many streams, and destinations that are written for each of them."""

from __future__ import annotations

from data_workbench.language.resolve import Resolved
from data_workbench.language.spec_source import Source
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.report import Report
from data_workbench.pipelines.streams import is_pattern, pattern_of, spread_sources

_ONE_BY_ONE = ("columns", "where", "key", "rest", "graphql")
"""What is said of one stream, and cannot hold for many."""


def check_streams(report: Report, resolved: Resolved) -> None:
    """Check that what stands for many goes straight to what is written for each."""
    spec = report.definition.spec
    many = spread_sources(spec)
    for name, item in spec.destinations.items():
        key = pattern_of(item)
        for node in resolved.target_inputs.get(name, ()) if key else ():
            path: Path = ("destinations", name, str(key))
            if node not in spec.sources:
                message = f"{{stream}} is a source's, and {node!r} is a step"
                report.say(path, message, hint="many streams go straight from a source to a destination")
            elif not is_pattern(spec.sources[node].stream):
                message = f"{{stream}} stands for many, and source {node!r} reads {spec.sources[node].stream!r} alone"
                report.say(path, message, hint="write its name, or let the source read a pattern such as public.*")
    for name, source in spec.sources.items():
        if name in many:
            _check_source(report, name, source)
        elif source.exclude:
            hint = "it belongs to a stream such as public.*, read by a destination such as table: copy.{stream}"
            report.say(("sources", name, "exclude"), "exclude has nothing to leave out", hint=hint, key=True)
    _check_readers(report, resolved, many)


def _check_source(report: Report, name: str, source: Source) -> None:
    for key in _ONE_BY_ONE:
        if getattr(source, key) is not None:
            message = f"{key!r} is said of one stream, and {source.stream!r} stands for many"
            report.say(("sources", name, key), message, hint="leave it out: each has the store's own", key=True)


def _check_readers(report: Report, resolved: Resolved, many: dict[str, list[str]]) -> None:
    spec = report.definition.spec
    for position, step in enumerate(spec.steps):
        for node in {resolved.step_inputs.get(step.name), *(other for _, other in step.others)} & set(many):
            message = f"step {step.name!r} takes {node!r}, which stands for many streams"
            report.say(("steps", position), message, hint="a pipeline of its own for the stream that needs steps")
    for node in set(spec.contract) & set(many):
        message = f"a contract is of one stream, and {node!r} stands for many"
        report.say(("contract", node), message, hint="a pipeline of its own for the stream that needs one", key=True)
    for name, item in spec.destinations.items():
        for node in set(resolved.target_inputs.get(name, ())) & set(many):
            if not pattern_of(item):
                hint = "say where each goes: table: copy.{stream}, or file: '{stream}.parquet'"
                report.say(("destinations", name), f"{node!r} stands for many streams", hint=hint, key=True)
