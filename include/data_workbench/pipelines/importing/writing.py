"""An imported mapping as YAML: the lines of a step, or a whole pipeline; what was lost stands there as comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from data_workbench.errors import UsageError
from data_workbench.mapping.iri_prefixes import Prefixes
from data_workbench.pipelines.importing.reading import Imported
from data_workbench.pipelines.importing.renames import Renames
from data_workbench.records.names import near_names
from data_workbench.transforms.spec_values import Mapped
from data_workbench.transforms.suggestions import yaml_text, yaml_word

ONTOLOGY = "onto"
"""The prefix that files are written with for the mapping's own ontology."""


@dataclass(frozen=True)
class Wanted:
    """The pipeline around a mapping.

    Args:
        key: fields that identify a row.
        kind: what the destination takes: RDF resources, or nodes.
    """

    connection: str
    stream: str
    key: Sequence[str]
    destination: str
    kind: Literal["resource", "nodes"]


def step_lines(found: Imported, prefixes: Mapping[str, str]) -> Iterator[str]:
    """The lines of the `map` step."""
    yield from _about(found)
    yield from _map(found.lines, _shortening(found, prefixes))


def rename_lines(found: Renames) -> Iterator[str]:
    """A `rename` step for a class."""
    yield f"# {found.class_name} of {found.graph}"
    if found.names:
        pairs = (f"{yaml_word(old)}: {yaml_word(new)}" for old, new in found.names.items())
        yield f"rename: {{{', '.join(pairs)}}}"
    for one in found.lost:
        yield f"# not carried: {one.what}: {one.reason}"


def pipeline_lines(found: Imported, wanted: Wanted, prefixes: Mapping[str, str]) -> Iterator[str]:
    """A whole pipeline file.

    Raises:
        UsageError: a field of the key is none of the mapping, or the class has no IRI.
    """
    if not found.class_iri:
        raise UsageError(f"{found.config.name!r} has no class to write", hint="see what could not be carried")
    short = _shortening(found, prefixes)
    key = [_target(found, name) for name in wanted.key]
    yield from _about(found)
    yield "version: 1"
    yield f"pipeline: {slug(found.config.name)}"
    yield f"description: {_text(f'{found.config.name}: a mapping of ODRAS to {found.config.target_class}.')}"
    yield f"prefixes: {{{', '.join(f'{name}: {_text(iri)}' for name, iri in short.declared.items())}}}"
    yield "sources:"
    stream = f"connection: {_text(wanted.connection)}, stream: {_text(wanted.stream)}"
    yield f"  rows: {{{stream}, key: {_listed(wanted.key)}}}"
    yield "steps:"
    yield "  - name: mapped"
    yield from (f"    {line}" for line in _map(found.lines, short))
    yield from _contract(found)
    yield "destinations:"
    yield from _destination(found, wanted, key, short)


def _target(found: Imported, name: str) -> str:
    if name not in found.targets:
        raise UsageError(
            f"--key {name}: {found.config.name!r} maps no such field", hint=near_names(name, found.targets)
        )
    return found.targets[name]


def _destination(found: Imported, wanted: Wanted, key: Sequence[str], short: Prefixes) -> Iterator[str]:
    class_iri = _text(short.shorten(found.class_iri))
    yield "  individuals:"
    yield f"    connection: {_text(wanted.destination)}"
    yield "    write: merge"
    if wanted.kind == "nodes":
        yield f"    nodes: [{{label: {class_iri}, key: {_listed(key)}}}]"
        return
    places = "/".join(f"{{{name}}}" for name in key)
    subject = short.shorten(f"{found.vocabulary.begins}{found.config.target_class}_{places}")
    yield "    resource:"
    yield f"      graph: {_text(found.config.graph)}"
    yield f"      subject: {_text(subject)}"
    yield f"      class: {class_iri}"


def _contract(found: Imported) -> Iterator[str]:
    columns = dict.fromkeys([*found.required, *found.values])
    if not columns:
        return
    yield "contract:"
    yield "  mapped:"
    yield "    columns:"
    for name in columns:
        said = ["required: true"] if name in found.required else []
        said += [f"values: {_listed(found.values[name])}"] if name in found.values else []
        yield f"      {yaml_word(name)}: {{{', '.join(said)}}}"


def _about(found: Imported) -> Iterator[str]:
    yield f"# {_words(found.config.name)}, mapping {found.config.id} of ODRAS"
    for note in found.notes:
        yield f"# note: {_words(note)}"
    for one in found.lost:
        yield f"# not carried: {_words(one.what)}: {_words(one.reason)}"


def _map(lines: Sequence[Mapped], short: Prefixes) -> Iterator[str]:
    yield "map:" if lines else "map: []"
    for line in lines:
        yield f"  - {{{', '.join(f'{key}: {text}' for key, text in _said(line, short))}}}"


def _said(line: Mapped, short: Prefixes) -> Iterator[tuple[str, str]]:
    yield "target", yaml_word(line.target)
    if line.iri is not None:
        yield "iri", _text(short.shorten(line.iri))
    if line.from_ is not None:
        yield "from", yaml_word(line.from_)
    if line.expression is not None:
        yield "expression", _text(line.expression)
    if line.type is not None:
        yield "type", _text(line.type)
    if line.default is not None:
        yield "default", _text(line.default)


def _shortening(found: Imported, prefixes: Mapping[str, str]) -> Prefixes:
    """The prefixes a file is written with; one for the ontology, unless its IRIs cannot be told by one."""
    own = {ONTOLOGY: found.vocabulary.begins} if found.config.graph else {}
    return Prefixes({**own, **prefixes})


def slug(name: str) -> str:
    """A name as a pipeline's."""
    found = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60]
    return found if found[:1].isalpha() else f"mapping_{found}".rstrip("_")


def _words(text: str) -> str:
    """For a comment: in one line, whatever it has."""
    return " ".join(text.split())


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, names))}]"


def _text(value: Any) -> str:
    """A value as YAML and JSON both read it, plain where it is a name."""
    if isinstance(value, str) and yaml_word(value) == value:
        return value
    return yaml_text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
