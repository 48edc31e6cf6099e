"""Constraints and indexes: what a load needs, made if it is not there."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from data_workbench.connectors.base import Change
from data_workbench.connectors.neo4j.names import KEY, quoted
from data_workbench.errors import FatalError, SchemaConflict, StoreBusy

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

    from data_workbench.connectors.neo4j.client import Client

_LONGEST_WAIT = 600
"""Seconds for an index to be filled."""


@dataclass(frozen=True)
class Constraint:
    """A uniqueness constraint or an index on a label's or a type's properties."""

    owner: str
    properties: tuple[str, ...]
    is_unique: bool
    is_relationship: bool = False

    @property
    def pattern(self) -> str:
        """The part of Cypher that names what it is on."""
        return f"()-[x:{quoted(self.owner)}]-()" if self.is_relationship else f"(x:{quoted(self.owner)})"

    def statement(self) -> str:
        """Cypher that makes it unless it is there."""
        columns = ", ".join(f"x.{quoted(name)}" for name in self.properties)
        if self.is_unique:
            return f"CREATE CONSTRAINT IF NOT EXISTS FOR {self.pattern} REQUIRE ({columns}) IS UNIQUE"
        return f"CREATE INDEX IF NOT EXISTS FOR {self.pattern} ON ({columns})"

    def change(self) -> Change:
        """How `plan` tells it."""
        what = "uniqueness constraint" if self.is_unique else "index"
        name = f"[:{self.owner}]" if self.is_relationship else f"(:{self.owner})"
        return Change("create_constraint", f"{name}.{', '.join(self.properties)}", what)


def node_key(label: str, properties: tuple[str, ...]) -> Constraint:
    """A node's key is unique, which also makes finding it quick."""
    return Constraint(label, properties, is_unique=True)


def relationship_key(kind: str) -> Constraint:
    """A row has at most one relationship of a mapping."""
    return Constraint(kind, (KEY,), is_unique=True, is_relationship=True)


def endpoint_index(label: str, properties: tuple[str, ...]) -> Constraint:
    """Without one, finding an endpoint reads the whole label."""
    return Constraint(label, properties, is_unique=False)


def existing(client: Client) -> list[Constraint]:
    """What the graph has: unique constraints and range indexes that are online."""
    found = client.run(
        "SHOW INDEXES YIELD type, state, entityType, labelsOrTypes, properties, owningConstraint "
        "WHERE type = 'RANGE' AND state = 'ONLINE' AND size(labelsOrTypes) = 1 "
        "RETURN labelsOrTypes[0] AS owner, properties, owningConstraint IS NOT NULL AS unique, entityType"
    )
    return [
        Constraint(row["owner"], tuple(row["properties"]), row["unique"], row["entityType"] == "RELATIONSHIP")
        for row in found
    ]


def is_served(wanted: Constraint, present: list[Constraint]) -> bool:
    """Whether something there does the work; the order of a composite key does not matter."""
    return any(
        found.owner == wanted.owner
        and found.is_relationship == wanted.is_relationship
        and sorted(found.properties) == sorted(wanted.properties)
        and (found.is_unique or not wanted.is_unique)
        for found in present
    )


def ensure(client: Client, wanted: list[Constraint]) -> None:
    """Make what is missing and wait until it serves.

    Raises:
        SchemaConflict: nodes already there break the uniqueness, or an index of somebody stands in the way.
    """
    missing = _unserved(client, wanted)
    for one in missing:
        try:
            client.write(partial(_do, one.statement()))
        except SchemaConflict as error:
            raise SchemaConflict(
                f"{_named(one)} is not unique: {error.message}",
                hint="merge or remove the duplicates, or key the mapping by something unique",
            ) from error
        except Exception as error:
            if "IndexAlreadyExists" not in str(getattr(error, "hint", "")):
                raise
            raise SchemaConflict(
                f"an index without uniqueness on {_named(one)} stands in the way of the constraint a merge needs",
                hint="drop that index (SHOW INDEXES has its name): the constraint brings its own",
            ) from error
    _wait(client, missing)


def _do(statement: str, tx: ManagedTransaction) -> None:
    tx.run(statement).consume()


def _wait(client: Client, wanted: list[Constraint]) -> None:
    """Until these are online, asking anew each time.

    `db.awaitIndexes` waits for the indexes of others, too, and its transaction keeps them from being committed: two
    loads that begin together would wait for each other until its time is over.
    """
    deadline, pause = time.monotonic() + _LONGEST_WAIT, 0.05
    while missing := _unserved(client, wanted):
        failed = client.run(
            "SHOW INDEXES YIELD type, state, entityType, labelsOrTypes, properties, failureMessage "
            "WHERE type = 'RANGE' AND state = 'FAILED' AND size(labelsOrTypes) = 1 "
            "RETURN labelsOrTypes[0] AS owner, properties, entityType, failureMessage AS reason"
        )
        for one, row in itertools.product(missing, failed):
            there = Constraint(
                row["owner"], tuple(row["properties"]), one.is_unique, row["entityType"] == "RELATIONSHIP"
            )
            if is_served(one, [there]):
                raise FatalError(
                    f"the index on {_named(one)} failed: {row['reason'].strip().splitlines()[0][:300]}",
                    hint="drop it, then load again: SHOW INDEXES has its name",
                )
        if time.monotonic() > deadline:
            raise StoreBusy(
                f"the index on {_named(missing[0])} is not online after {_LONGEST_WAIT} s",
                hint="see its populationPercent in SHOW INDEXES; load again when it is online",
            )
        time.sleep(pause)
        pause = min(1.0, pause * 2)


def _unserved(client: Client, wanted: list[Constraint]) -> list[Constraint]:
    present = existing(client) if wanted else []
    return [one for one in wanted if not is_served(one, present)]


def _named(one: Constraint) -> str:
    name = f"[:{one.owner}]" if one.is_relationship else f"(:{one.owner})"
    return f"{name} by {', '.join(one.properties)}"
