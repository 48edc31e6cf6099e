"""Schema policies: what a source's columns may do between two runs."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING

from data_workbench.errors import SchemaConflict

if TYPE_CHECKING:
    from data_workbench.connectors.base import Stream
    from data_workbench.pipelines.plan import SourcePlan
    from data_workbench.pipelines.spec import Source

log = logging.getLogger(__name__)


def apply_policy(
    name: str, source: Source, stream: Stream, before: SourcePlan | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns a source shows, and those whose use discards a row, judged against the last successful run.

    `evolve` takes new columns, `freeze` refuses any change, `discard_value` leaves new columns out, `discard_row`
    reads them to discard the rows which use them. A list in the file is always exact.

    Raises:
        SchemaConflict: a listed column is gone, or the policy is `freeze` and the stream has changed.
    """
    present = stream.schema.names
    if source.columns is not None:
        for column in source.columns:
            if column not in present:
                near = difflib.get_close_matches(column, present, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"its columns: {', '.join(present[:60])}"
                raise SchemaConflict(f"source {name!r}: {source.stream} has no column {column!r}", hint=hint)
        visible = tuple(source.columns)
    else:
        visible = tuple(present)
    if before is None:
        return visible, ()
    old = before.arrow_schema
    if source.schema_policy == "freeze":
        _refuse_changes(name, source, stream, visible, before)
    added = [column for column in visible if column not in before.columns and column not in old.names]
    if added and source.schema_policy in ("discard_value", "discard_row"):
        log.warning("source %s: new columns %s are left out (%s)", name, added, source.schema_policy)
        kept = tuple(column for column in visible if column not in added)
        return kept, tuple(added) if source.schema_policy == "discard_row" else ()
    if added:
        log.info("source %s: new columns %s", name, added)
    return visible, ()


def _refuse_changes(name: str, source: Source, stream: Stream, visible: tuple[str, ...], before: SourcePlan) -> None:
    old = before.arrow_schema
    changes = [f"{column} is new" for column in visible if column not in before.columns]
    changes += [f"{column} is gone" for column in before.columns if column not in visible]
    changes += [
        f"{column} was {old.field(column).type}, is {stream.schema.field(column).type}"
        for column in visible
        if column in old.names and old.field(column).type != stream.schema.field(column).type
    ]
    if changes:
        raise SchemaConflict(
            f"source {name!r}: {source.stream} has changed ({'; '.join(changes[:10])}) and schema_policy is freeze",
            hint="set schema_policy: evolve, or list the columns you want",
        )
