"""What became of an imported mapping: its lines in a pipeline file against those it would have now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.language.spec import Pipeline
    from data_workbench.transforms.spec_values import Mapped


@dataclass(frozen=True)
class Difference:
    """A target whose line is another in the file than in ODRAS; None where there is no line."""

    target: str
    here: dict[str, Any] | None
    there: dict[str, Any] | None


def differences(spec: Pipeline, lines: Sequence[Mapped]) -> list[Difference]:
    """Compare the file's `map` step that shares most targets with the lines; notes are a person's own.

    Raises:
        UsageError: no step of the file maps any of them.
    """
    wanted = {line.target: _said(line) for line in lines}
    steps = [{line.target: _said(line) for line in step.map} for step in spec.steps if step.map is not None]
    found = max(steps, key=lambda step: len(step.keys() & wanted.keys()), default={})
    if not found.keys() & wanted.keys():
        raise UsageError(
            f"pipeline {spec.pipeline!r} has no map step of this mapping", hint="import it without --check first"
        )
    targets = dict.fromkeys([*found, *wanted])
    return [
        Difference(name, found.get(name), wanted.get(name)) for name in targets if found.get(name) != wanted.get(name)
    ]


def _said(line: Mapped) -> dict[str, Any]:
    return line.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"note"})
