"""The plan of a run, and how it is stored.

Compiled once per run (`planning.py`) and stored with it as JSON, so that every later task of the run, on whatever
machine, does the same even if the file has changed meanwhile. Another version of the workbench may have stored it: what
it compiled is not run then, but what its sources looked like is still known.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from data_workbench.errors import StateError
from data_workbench.mapping import targets as target_shapes
from data_workbench.mapping.hooks import Hook
from data_workbench.mapping.targets import Target
from data_workbench.records.pushed import PushedStatement
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    from data_workbench.transforms.plan import TransformPlan

FORMAT: Final = 11
"""Of stored plans. Raise it whenever their shape, or what their SQL relies on, changes."""
DELETED = "workbench: deleted"
"""Landed with a source whose deletions are detected by comparing keys: true for a key that is gone."""


@dataclass(frozen=True)
class SidePlan:
    """A stream read beside the sources: for a lookup, or for values a contract refers to."""

    connection: str
    stream: str
    columns: tuple[str, ...]
    where: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourcePlan:
    """How one source is read."""

    connection: str
    stream: str
    columns: tuple[str, ...]
    """Visible to steps and destinations."""
    schema: str
    """Of what is landed, hidden columns included; base64 of Arrow's IPC form."""
    key: tuple[str, ...]
    key_is_unique: bool
    cursor: str | None
    lag: float | None
    """Seconds for times, units for numbers."""
    incremental: bool
    full_reason: str | None
    where: str | None
    where_pushed: bool
    params: tuple[str, ...]
    tombstone_when: str | None
    detect: bool
    schema_policy: str
    discard: tuple[str, ...] = ()
    """New columns under `discard_row`: read, and a row that uses one is left out."""
    absent: tuple[str, ...] = ()
    """Columns the store no longer has, landed as nulls by a policy that keeps the shape."""
    bent: tuple[str, ...] = ()
    """Columns that have changed, held to what they were."""
    required: tuple[str, ...] = ()
    """Columns the store promised never to be null."""
    options: Mapping[str, Any] = field(default_factory=dict)
    parallel: int = 1
    """At most so many ranges are read at the same time."""
    ranges: int = 1
    """At most so many key ranges are read by tasks of their own."""
    split_by: tuple[str, ...] = ()
    """Columns of the key that the store keeps unique, by which ranges are made."""
    where_retracts: bool = False
    """What stops matching `where` is deleted from merge destinations: changes are read without it, then marked."""

    @property
    def arrow_schema(self) -> pa.Schema:
        return decode_schema(self.schema)

    @property
    def noted_schema(self) -> pa.Schema:
        """What is landed, with the nullability that the store promised."""
        schema = self.arrow_schema
        return pa.schema([item.with_nullable(item.name not in self.required) for item in schema])


@dataclass(frozen=True)
class DestinationPlan:
    """What one destination writes, in order."""

    connection: str
    write: str
    targets: tuple[Target, ...]
    before: tuple[Hook, ...] = ()
    after: tuple[Hook, ...] = ()


@dataclass(frozen=True)
class RunPlan:
    """Everything a run does."""

    pipeline: str
    definition_hash: str
    content_hash: str
    """Of sources, steps, contract and destinations: what decides which rows stand where."""
    sources: Mapping[str, SourcePlan]
    sides: Mapping[str, SidePlan]
    transform: TransformPlan
    destinations: Mapping[str, DestinationPlan]
    contracts: Mapping[str, Mapping[str, Any]]
    """Contracts as written, by node."""
    after_load: str
    max_quarantined: int | str | None = None
    """Of the rows read; a node's own limit stands in its contract."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """What computes the transform if not DuckDB: `name`, `master`, `options`."""
    journal: str = "auto"
    """Whether the journal is told the keys of what is written: `auto`, `keys`, `values`, `none`."""
    pushed: PushedStatement | None = None
    """The steps as one statement of the database in which sources and table stand."""
    not_pushed: str | None = None
    """Why there is no such statement."""

    def to_json(self) -> dict[str, Any]:
        """The form stored with the run."""
        return {
            "format": FORMAT,
            "pipeline": self.pipeline,
            "definition_hash": self.definition_hash,
            "content_hash": self.content_hash,
            "sources": {name: asdict(source) for name, source in self.sources.items()},
            "sides": {name: asdict(side) for name, side in self.sides.items()},
            "transform": self.transform.to_json(),
            "destinations": {
                name: {
                    "connection": item.connection,
                    "write": item.write,
                    "targets": [target_shapes.to_json(target) for target in item.targets],
                    "before": [asdict(hook) for hook in item.before],
                    "after": [asdict(hook) for hook in item.after],
                }
                for name, item in self.destinations.items()
            },
            "contracts": dict(self.contracts),
            "after_load": self.after_load,
            "max_quarantined": self.max_quarantined,
            "engine": dict(self.engine),
            "journal": self.journal,
            "pushed": None if self.pushed is None else self.pushed.to_json(),
            "not_pushed": self.not_pushed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunPlan:
        """The reverse of `to_json`.

        Raises:
            StateError: another version of the workbench has stored it.
        """
        from data_workbench.transforms.plan import TransformPlan

        if not is_current(data):
            raise StateError(
                f"the plan of this run of {data['pipeline']!r} was stored by another version of the workbench",
                hint="start a new run, or end this one with the version that began it",
            )
        return cls(
            pipeline=data["pipeline"],
            definition_hash=data["definition_hash"],
            content_hash=data["content_hash"],
            sources={name: SourcePlan(**_tuples(item)) for name, item in data["sources"].items()},
            sides={name: SidePlan(**_tuples(item)) for name, item in data["sides"].items()},
            transform=TransformPlan.from_json(data["transform"]),
            destinations={
                name: DestinationPlan(
                    item["connection"],
                    item["write"],
                    tuple(target_shapes.from_json(target) for target in item["targets"]),
                    tuple(Hook(**_tuples(hook)) for hook in item["before"]),
                    tuple(Hook(**_tuples(hook)) for hook in item["after"]),
                )
                for name, item in data["destinations"].items()
            },
            contracts=data["contracts"],
            after_load=data["after_load"],
            max_quarantined=data["max_quarantined"],
            engine=data["engine"],
            journal=data["journal"],
            pushed=None if data["pushed"] is None else PushedStatement.from_json(data["pushed"]),
            not_pushed=data["not_pushed"],
        )


def is_current(stored: Mapping[str, Any]) -> bool:
    """Whether a stored plan can be run by this version."""
    return stored.get("format") == FORMAT


def sources_of(stored: Mapping[str, Any]) -> dict[str, SourcePlan]:
    """The sources of a stored plan of any version, as far as they can still be read."""
    known = {item.name for item in fields(SourcePlan)}
    found = {}
    for name, item in stored["sources"].items():
        try:
            found[name] = SourcePlan(**_tuples({key: value for key, value in item.items() if key in known}))
        except TypeError:
            continue  # it lacks what this version needs to know
    return found


def _tuples(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in item.items()}


def encode_schema(schema: pa.Schema) -> str:
    """An Arrow schema as text."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def decode_schema(text: str) -> pa.Schema:
    """The reverse of `encode_schema`."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def columns_of(schema: pa.Schema) -> list[dict[str, Any]]:
    """Columns as `plan --json` shows them."""
    return [
        {"name": item.name, "type": native_type(item) or str(item.type), "nullable": item.nullable} for item in schema
    ]
