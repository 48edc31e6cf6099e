"""One source for many streams: `stream: public.*` with a destination such as `table: copy.{stream}`.

Which streams there are is asked when a run is planned, and stands in its plan: a source for each, with its own key,
cursor and checkpoint, and a target for each in the one destination. So a DAG stays as it is, and a task that goes on
tomorrow does what was planned today. See docs/decisions/0019-wildcards.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from data_workbench.errors import SchemaConflict, StreamUnknown
from data_workbench.language.resolve import resolve

if TYPE_CHECKING:
    from data_workbench.connectors.base import Stream
    from data_workbench.language.spec import Pipeline
    from data_workbench.language.spec_destination import Destination
    from data_workbench.language.spec_source import Source
    from data_workbench.pipelines.plan import DestinationPlan
    from data_workbench.pipelines.stores import Stores

PLACES: Final = ("stream", "schema")
"""What a destination may take of a stream's name: `{stream}` without its schema, and `{schema}`."""
WRITTEN: Final = ("table", "file", "folder")
"""Keys of a destination in which they may stand."""
MOST_STREAMS: Final = 500
_PLACE = re.compile(r"\{(stream|schema)\}")
_UNUSUAL = re.compile(r"[^a-z0-9_]")


def is_pattern(stream: str) -> bool:
    """Whether a stream's name stands for several."""
    return any(letter in stream for letter in "*?[")


def pattern_of(destination: Destination) -> str | None:
    """The key of a destination that is written once for each stream; None if it is one place."""
    return next((key for key in WRITTEN if _PLACE.search(getattr(destination, key) or "")), None)


def spread_sources(spec: Pipeline) -> dict[str, list[str]]:
    """Sources that stand for many streams, with the destinations that are written for each."""
    inputs = resolve(spec).target_inputs
    found: dict[str, list[str]] = {}
    for name, item in spec.destinations.items():
        if pattern_of(item):
            for node in inputs.get(name, ()):
                if node in spec.sources:
                    found.setdefault(node, []).append(name)
    return found


def one_stream(spec: Pipeline) -> dict[str, Destination]:
    """The destinations as if each source were a single stream, named like it."""
    found = dict(spec.destinations)
    for source, written in spread_sources(spec).items():
        for name in written:
            key = str(pattern_of(found[name]))
            where = _render(getattr(found[name], key), source)
            found[name] = found[name].model_copy(update={key: where})
    return found


@dataclass(frozen=True)
class Spread:
    """A pipeline with a source and a destination for each stream, and which destination each of these is part of."""

    spec: Pipeline
    parts: Mapping[str, str]

    def gathered(self, plans: Mapping[str, DestinationPlan]) -> dict[str, DestinationPlan]:
        """The destinations as the file has them: those of one pattern are one, with a target for each stream."""
        found: dict[str, DestinationPlan] = {}
        for name, plan in plans.items():
            whole = self.parts.get(name, name)
            before = found.get(whole)
            targets = (*(before.targets if before else ()), *plan.targets)
            found[whole] = replace(plan, targets=targets)
        return found


def spread(spec: Pipeline, stores: Stores) -> Spread:
    """Ask the stores which streams there are.

    Raises:
        StreamUnknown: none fits.
        SchemaConflict: too many, one without a key, or two that would be written to one place.
    """
    many = spread_sources(spec)
    if not many:
        return Spread(spec, {})
    sources: dict[str, Source] = {}
    destinations = {name: item for name, item in spec.destinations.items() if not pattern_of(item)}
    parts: dict[str, str] = {}
    for name, source in spec.sources.items():
        if name not in many:
            sources[name] = source
            continue
        for stream in _streams(spec, name, source, many[name], stores):
            one = _free(f"{name}__{_slug(stream.name)}", spec.sources)
            cursor = source.cursor if source.cursor and source.cursor.column in stream.schema.names else None
            sources[one] = source.model_copy(update={"stream": stream.name, "cursor": cursor, "exclude": []})
            for destination in many[name]:
                part = _free(f"{destination}__{_slug(stream.name)}", spec.destinations)
                parts[part] = destination
                destinations[part] = _part(spec.destinations[destination], stream, one)
    _require_places(spec, destinations, parts)
    ordered = {part: item for whole in spec.destinations for part, item in _of(whole, destinations, parts)}
    return Spread(spec.model_copy(update={"sources": sources, "destinations": ordered}), parts)


def _of(whole: str, destinations: Mapping[str, Any], parts: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    return ((part, item) for part, item in destinations.items() if parts.get(part, part) == whole)


def _streams(spec: Pipeline, name: str, source: Source, written: list[str], stores: Stores) -> list[Stream]:
    """The streams that a source stands for now, in the order of their names; views are not among them."""
    store = stores.source(source.connection)
    found = store.discover(source.stream)
    if not found and "." not in source.stream:  # `table` means `public.table`, here too
        found = store.discover(f"public.{source.stream}")
    there = [one for one in found if not one.kind.endswith("view")]
    kept = [one for one in there if not any(_fits(one.name, pattern) for pattern in source.exclude)]
    # A copy beside the original matches, too; it would be copied again in the next run, and so on.
    copies = {
        _render(getattr(item, key), one.name)
        for item in (spec.destinations[one] for one in written)
        if item.connection == source.connection and (key := pattern_of(item))
        for one in there
    }
    kept = sorted((one for one in kept if not {one.name, _short(one.name)} & copies), key=lambda one: one.name)
    if not kept:
        hint = "`workbench discover CONNECTION` lists what is there; see `exclude`, and that views are left out"
        raise StreamUnknown(f"source {name!r}: nothing fits {source.stream!r}", hint=hint)
    if len(kept) > MOST_STREAMS:
        message = f"source {name!r}: {len(kept)} streams fit {source.stream!r}, at most {MOST_STREAMS} are taken"
        raise SchemaConflict(message, hint="narrow the pattern, or make several pipelines")
    return kept


def _part(item: Destination, stream: Stream, source: str) -> Destination:
    key = pattern_of(item)
    assert key is not None
    if item.write == "merge" and not (item.key or stream.key):
        raise SchemaConflict(
            f"{stream.name} has no key, so it cannot be merged",
            hint=f"exclude: [{stream.name}], write: replace, or give the table a primary key",
        )
    where = _render(getattr(item, key), stream.name)
    return item.model_copy(update={"input": source, key: where, "key": item.key or list(stream.key) or None})


def _require_places(spec: Pipeline, destinations: Mapping[str, Destination], parts: Mapping[str, str]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for part, whole in parts.items():
        item = destinations[part]
        key = pattern_of(spec.destinations[whole])
        place = str(getattr(item, str(key)))
        other = taken.setdefault((item.connection, place), str(item.input))
        if other != item.input:
            message = f"{other} and {item.input} would both be written to {place}"
            raise SchemaConflict(message, hint="take {schema} into the name, or exclude one")


def _render(pattern: str, stream: str) -> str:
    schema, _, short = stream.rpartition(".")
    return _PLACE.sub(lambda found: short if found[1] == "stream" else schema or "public", pattern)


def _short(stream: str) -> str:
    return stream.removeprefix("public.")


def _fits(stream: str, pattern: str) -> bool:
    return fnmatchcase(stream, pattern) or fnmatchcase(_short(stream), pattern)


def _free(name: str, taken: Mapping[str, Any]) -> str:
    if name in taken:
        message = f"{name!r} is the name that a stream of a pattern gets, and stands in the file already"
        raise SchemaConflict(message, hint="rename the one in the file")
    return name


def _slug(stream: str) -> str:
    """A stream's name as part of a source's: unusual ones keep a digest, so that two never meet."""
    plain = _UNUSUAL.sub("_", stream.removeprefix("public.").lower())[:40]
    if plain == stream.removeprefix("public."):
        return plain
    return f"{plain}_{hashlib.sha256(stream.encode()).hexdigest()[:6]}"
