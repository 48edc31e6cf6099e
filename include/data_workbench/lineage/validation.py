"""Whether an event keeps to OpenLineage's core spec 2-0-2 and to the schemas of the facets it names.

A facet is held to a schema if it says that this is its schema. One that says another, under a name that is the spec's
own, is held to its shape alone, and only where the graph relies on it may nothing be missing: older versions had less.
Of others only what every facet must have is asked, and they are kept as they are. What is wrong is told by its path.
Where a facet's schema has a URI, any text is taken: Spark calls its data source `file`, dbt `bigquery`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from json import loads
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import UUID

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_CORE: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
_FACET: Final = re.compile(r"https://openlineage\.io/spec/facets/\d+-\d+-\d+/(\w+)\.json(?:#.*)?")
_RELIED_ON: Final = frozenset({"parent", "columnLineage", "schema", "ownership"})
_OF_DATA: Final = "DatasetFacet"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?")
"""RFC 3339, and without a zone as well, as OpenLineage's own examples have it: that is UTC."""
_FIRST, _LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
"""Between these a moment is one in every time zone: it is read back in another one than it was told in."""
LONGEST_NAME: Final = 4_000
"""Characters of a namespace, a name or a column: longer ones are no names, and hold up whoever lists them."""
DEEPEST: Final = 200
"""Levels of an event, plans of Spark among them: what is nested deeper ends whoever reads it by recursion."""
_MOST_TOLD: Final = 20


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where."""

    path: str
    message: str


def findings(event: Any) -> list[Finding]:
    """What is wrong with an event; nothing if it is valid."""
    if not isinstance(event, Mapping):
        return [Finding("$", f"an event is an object, not {_called(event)}")]
    found = [Finding(f"$.{name}", told) for name, value in event.items() if (told := _unreadable(value))]
    if found:
        return found[:_MOST_TOLD]
    kind = "RunEvent" if "run" in event else "JobEvent" if "job" in event else "DatasetEvent"
    if kind == "DatasetEvent" and "dataset" not in event:
        return [Finding("$", "an event has run and job, or job, or dataset")]
    for error in _validator(f"{_CORE}#/$defs/{kind}").iter_errors(event):
        found.extend(_told(error, "$"))
        if len(found) >= _MOST_TOLD:
            break
    if found:
        return found[:_MOST_TOLD]
    return [*_of_names(event), *_of_facets(event)][:_MOST_TOLD]


def _unreadable(value: Any) -> str | None:
    """What nobody could hand on: it would be kept, and break every answer it is in."""
    wave = [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for one in wave:
            if isinstance(one, Mapping):
                inner += one
                inner += one.values()
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, str) and not one.isascii() and _SURROGATE.search(one):
                return "holds half of a surrogate pair, which is no character"
        if not inner:
            return None
        wave = inner
    return f"nests deeper than {DEEPEST} levels"


def _told(error: ValidationError, root: str) -> Iterator[Finding]:
    if error.context:
        for cause in error.context:
            yield from _told(cause, root)
        return
    message = error.message if len(error.message) <= 300 else f"{error.message[:300]}…"
    yield Finding(f"{root}{error.json_path[1:]}", message)


def _called(value: Any) -> str:
    known = {list: "an array", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return known.get(type(value), "null")


# ----------------------------------------------------------------------------------------------- names and facets


def _of_names(event: Mapping[str, Any]) -> Iterator[Finding]:
    """Names that are too long, and an event time that no calendar has, or that is none in another zone."""
    try:
        at = datetime.fromisoformat(event["eventTime"].upper()).replace(tzinfo=UTC)
    except ValueError as error:
        yield Finding("$.eventTime", str(error))
    else:
        if not _FIRST < at < _LAST:
            yield Finding("$.eventTime", "lies beyond the years that can be kept, 1 to 9999")
    for path, item in _named(event):
        for key in ("namespace", "name"):
            if len(item[key]) > LONGEST_NAME:
                yield Finding(f"{path}.{key}", f"is longer than {LONGEST_NAME} characters")


def _named(event: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    about = "job" if "job" in event else "dataset"  # beside a job, `dataset` is no word of the spec
    yield f"$.{about}", event[about]
    for key in ("inputs", "outputs"):
        for index, item in enumerate(event.get(key, ())):
            yield f"$.{key}[{index}]", item


def _of_facets(event: Mapping[str, Any]) -> Iterator[Finding]:
    for path, item in [*_named(event), ("$.run", event.get("run", {}))]:
        for group in ("facets", "inputFacets", "outputFacets"):
            for name, facet in item.get(group, {}).items():
                yield from _of_facet(f"{path}.{group}.{name}", _kind(path, group), name, facet)


def _kind(path: str, group: str) -> str:
    """What the spec calls facets of this place."""
    known = {"$.run": "RunFacet", "$.job": "JobFacet"}
    return known.get(
        path, {"inputFacets": "InputDatasetFacet", "outputFacets": "OutputDatasetFacet"}.get(group, _OF_DATA)
    )


def _of_facet(path: str, kind: str, name: str, facet: Mapping[str, Any]) -> Iterator[Finding]:
    named = _FACET.fullmatch(facet["_schemaURL"])
    url = _facet_urls().get(named[1]) if named else None
    is_told = url is not None
    url = url or _standard().get((kind, name))
    if url is None or facet.get("_deleted") is True:
        return
    if name not in _facet_keys(url):
        yield Finding(f"{path}._schemaURL", f"is the schema of {', '.join(_facet_keys(url))}, not of {name}")
        return
    for error in _validator(url, formats=is_told).iter_errors({name: facet}):
        if error.validator == "required" and not (is_told or name in _RELIED_ON):
            continue
        yield from _told(error, path.removesuffix(f".{name}"))


# ------------------------------------------------------------------------------------------------------- schemas


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    folder = files("data_workbench.lineage").joinpath("schemas")
    places = [folder.joinpath("OpenLineage.json"), *folder.joinpath("facets").iterdir()]
    found = [loads(place.read_text(encoding="utf-8")) for place in places if place.name.endswith(".json")]
    return {one["$id"]: one for one in found}


@cache
def _facet_urls() -> dict[str, str]:
    """The schema's URL by the name of its facet; an older version of one is held to the newest."""
    return {named[1]: url for url in _schemas() if (named := _FACET.fullmatch(url))}


@cache
def _standard() -> dict[tuple[str, str], str]:
    """The schema's URL by kind and name: names without a producer's prefix are the spec's own."""
    found = {}
    for url, schema in _schemas().items():
        for name, where in schema.get("properties", {}).items() if _FACET.fullmatch(url) else ():
            definition = schema["$defs"].get(where.get("$ref", "").rpartition("/")[2], {})
            for base in definition.get("allOf", []):
                found[base.get("$ref", "").rpartition("/")[2], name] = url
    return found


@cache
def _facet_keys(url: str) -> tuple[str, ...]:
    return tuple(_schemas()[url].get("properties", {}))


@cache
def _validator(url: str, *, formats: bool = True) -> Draft202012Validator:
    from jsonschema import Draft202012Validator, FormatChecker
    from referencing import Registry, Resource

    registry: Any = Registry().with_resources(
        [(name, Resource.from_contents(schema)) for name, schema in _schemas().items()]
    )
    checker = FormatChecker(formats=())
    checker.checks("uuid", ValueError)(lambda value: not isinstance(value, str) or bool(UUID(value)))
    if url.startswith(_CORE):
        checker.checks("uri", ValueError)(lambda value: not isinstance(value, str) or bool(urlsplit(value).scheme))
    checker.checks("date-time")(lambda value: not isinstance(value, str) or bool(_MOMENT.fullmatch(value)))
    return Draft202012Validator({"$ref": url}, registry=registry, format_checker=checker if formats else None)
