"""What feeds what: the inputs a file leaves out, worked out once for the plan and for lint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from data_workbench.language.spec import Pipeline
from data_workbench.language.spec_destination import Destination
from data_workbench.language.yaml_tree import Path
from data_workbench.records.names import near_names


@dataclass(frozen=True)
class Ambiguity:
    """An input that is unknown, comes later, or cannot be told."""

    path: Path
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Resolved:
    """Inputs by name. What has a problem is left out of the mappings."""

    step_inputs: Mapping[str, str]
    target_inputs: Mapping[str, tuple[str, ...]]
    """Per destination the sources and steps it reads, each once."""
    default_inputs: Mapping[str, str]
    problems: tuple[Ambiguity, ...] = field(default=())

    def default_input(self, destination: str) -> str:
        """What `input` means in a destination's mappings that leave it out; empty if each names its own."""
        return self.default_inputs.get(destination, "")


def resolve(spec: Pipeline) -> Resolved:
    """Work out all inputs of a pipeline; nothing is raised, `problems` tells what does not fit."""
    problems: list[Ambiguity] = []
    step_inputs = _resolve_steps(spec, problems)
    nodes = [*spec.sources, *(step.name for step in spec.steps)]
    last = spec.steps[-1].name if spec.steps else _only(list(spec.sources))
    target_inputs: dict[str, tuple[str, ...]] = {}
    defaults: dict[str, str] = {}
    for name, destination in spec.destinations.items():
        used: list[str] = []
        default = destination.input or last
        if default is not None:
            defaults[name] = default
        for path, given in _asked(name, destination):
            node = given or default
            if node is None:
                problems.append(_cannot_tell(path, spec))
            elif node not in nodes:
                problems.append(_unknown(path, node, nodes))
            else:
                used.append(node)
        target_inputs[name] = tuple(dict.fromkeys(used))
    return Resolved(step_inputs, target_inputs, defaults, tuple(problems))


def _resolve_steps(spec: Pipeline, problems: list[Ambiguity]) -> dict[str, str]:
    inputs: dict[str, str] = {}
    known = list(spec.sources)
    before = _only(known)
    for position, step in enumerate(spec.steps):
        path: Path = ("steps", position, "input")
        node = step.input or before
        if node is None:
            problems.append(_cannot_tell(path, spec))
        elif node in known:
            inputs[step.name] = node
        else:
            problems.append(_absent(path, node, position, spec, known))
        for place, other in step.others:
            if other not in known:
                problems.append(_absent(("steps", position, *place), other, position, spec, known))
        known.append(step.name)
        before = step.name
    return inputs


def _asked(name: str, destination: Destination) -> list[tuple[Path, str | None]]:
    """Each place in a destination that takes an input, with what stands there."""
    top: Path = ("destinations", name, "input")
    if destination.shape != "graph":
        return [(top, destination.input)]
    asked: list[tuple[Path, str | None]] = [(top, destination.input)] if destination.input else []
    items = [("nodes", at, node.input) for at, node in enumerate(destination.nodes)]
    items += [("relationships", at, item.input) for at, item in enumerate(destination.relationships)]
    for kind, position, given in items:
        asked.append((("destinations", name, kind, position, "input"), given))
    return asked


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _cannot_tell(path: Path, spec: Pipeline) -> Ambiguity:
    return Ambiguity(
        path[:-1], "no input is named, and there are several sources", f"add input: {_listed(spec.sources)}"
    )


def _listed(names: Mapping[str, object]) -> str:
    return " or ".join(list(names)[:5])


def _absent(path: Path, node: str, position: int, spec: Pipeline, known: list[str]) -> Ambiguity:
    later = {step.name: number for number, step in enumerate(spec.steps) if number >= position}
    if node not in later:
        return _unknown(path, node, known)
    if node == spec.steps[position].name:
        return Ambiguity(path, f"cycle: step {node!r} takes itself")
    if spec.steps[position].name in _ancestors(spec, node):
        return Ambiguity(path, f"cycle: {spec.steps[position].name!r} takes {node!r}, which is made from it")
    return Ambiguity(path, f"step {node!r} comes later", "steps run from top to bottom: move it up")


def _ancestors(spec: Pipeline, name: str) -> set[str]:
    """Every step a step is made from, however the file orders them."""
    steps = {step.name: (number, step) for number, step in enumerate(spec.steps)}
    found: set[str] = set()
    waiting = [name]
    while waiting:
        number, step = steps[waiting.pop()]
        inputs = {step.input or (spec.steps[number - 1].name if number else "")}
        inputs |= {other for _, other in step.others}
        fresh = (inputs & set(steps)) - found
        found |= fresh
        waiting.extend(fresh)
    return found


def _unknown(path: Path, node: str, known: list[str]) -> Ambiguity:
    return Ambiguity(path, f"no source or step is named {node!r}", near_names(node, known))
