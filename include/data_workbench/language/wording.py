"""Turns what pydantic says about a pipeline file into plain words with a path into the file."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from data_workbench.language.spec import Pipeline
from data_workbench.language.yaml_tree import Node, Path
from data_workbench.records.definitions import Mistake
from data_workbench.records.names import near_names


@dataclass(frozen=True)
class Wording:
    """One mistake: what to say, and which key or value it is about."""

    path: Path
    message: str
    hint: str | None = None
    at_key: bool = False


_CHOICES = {
    "schedule": 'a cron text such as "*/15 * * * *", {cron: …}, {every: …}, {timetable: …}, {dataset: …}, {alias: …}, '
    '{file: …}, {topic: …}, "@continuous" or null',
    "cron": "a cron text, or a list of them",
    "deletes": "{when: SQL}, detect or none",
    "partitions": "{grain: hour, day or month, from: PARAM, to: PARAM}, {param: PARAM, values: […]} or "
    "{size: N, from: PARAM, to: PARAM}",
    "default": "a text, a number, true or false",
    "min": "a text or a number",
    "max": "a text or a number",
    "max_quarantined": "a whole number of rows, or a share such as 1%",
    "lag": "a duration such as 5m, or a number",
    "dataset": "a text, or a list of texts",
    "alias": "a text, or a list of texts",
}
_WANTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}
_NAME_WORDS = "begin with a lower-case letter; lower-case letters, digits and underscores follow, 63 at most"
_OTHER_PATTERNS = (
    ("^[A-Za-z][A-Za-z0-9+.-]*:", "IRI", "write it in full, as http://purl.org/dc/terms/title"),
    ("^[A-Za-z]{1,8}", "language", "write for example en or de-AT"),
    ("^[A-Z_a-z]", "class", "write it as package.module:Class"),
    (r"^[A-Za-z_]\w*(\.", "function", "write it as package.module:function"),
)
"""How a pattern that is no name's begins, what it is of, and what to write."""
_GRAPH_WORDS = "begin with a letter or underscore; letters, digits and underscores follow"


def explain(error: ValidationError, root: Node, model: type[BaseModel] = Pipeline) -> list[Wording]:
    """Every mistake pydantic found in a file of the model, once each, in plain words."""
    singles: list[Wording] = []
    unions: dict[Path, list[tuple[Path, dict[str, Any]]]] = {}
    for item in error.errors(include_url=False):
        details = typing.cast(dict[str, Any], item)
        path, union = _to_path(details["loc"], root, is_missing=details["type"] == "missing")
        if union is None:
            singles.append(word(details, path, root, model))
        else:
            unions.setdefault(union, []).append((path, details))
    return singles + [word for union, members in unions.items() for word in _word_union(union, members, root, model)]


def _to_path(loc: Iterable[str | int], root: Node, *, is_missing: bool) -> tuple[Path, Path | None]:
    """The path in the file a pydantic location means, and the path of the union it passed through, if any."""
    path: Path = ()
    node: Node | None = root
    union: Path | None = None
    parts = list(loc)
    for position, part in enumerate(parts):
        child = node.children.get(part) if node is not None else None
        if child is not None:
            path, node = (*path, part), child
        elif is_missing and position == len(parts) - 1:
            path = (*path, part)
        elif part != "[key]":
            union = path if union is None else union  # the name of a member, such as 'DeletesWhen' or 'str'
    return path, union


def _word_union(
    union: Path, members: list[tuple[Path, dict[str, Any]]], root: Node, model: type[BaseModel]
) -> list[Wording]:
    deeper = [
        word(details, path, root, model)
        for path, details in members
        if len(path) > len(union) and details["type"] not in ("missing", "extra_forbidden")
    ]
    if deeper:
        return deeper
    node = root.find(union)
    own = next((details for _, details in members if details["type"] == "value_error"), None)
    if own is not None:
        return [word(own, union, root, model)]
    wanted = _CHOICES.get(str(union[-1])) or " or ".join(
        dict.fromkeys(_WANTED.get(details["type"], "another form") for _, details in members)
    )
    return [Wording(union, f"{_named(union)} is {show(node)}; it takes {wanted}")]


def word(details: dict[str, Any], path: Path, root: Node, model: type[BaseModel] = Pipeline) -> Wording:
    """One of pydantic's mistakes in plain words."""
    kind, context = details["type"], details.get("ctx") or {}
    node = root.find(path)
    if kind == "missing":
        return _missing(path, model)
    if kind == "extra_forbidden" and path[-1] == "<<":
        return Wording(path, "'<<' merges nothing in YAML 1.2", "write the keys out, or use a whole alias", at_key=True)
    if kind == "extra_forbidden":
        known = fields_at(path[:-1], model)
        message = f"unknown key {path[-1]!r}{_below(path)}"
        return Wording(path, message, near_names(str(path[-1]), known), at_key=True)
    if kind == "value_error":
        return _own_rule(context.get("error"), path)
    if kind == "literal_error":
        allowed = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        given = str(node.value) if node is not None and node.kind == "scalar" else ""
        return Wording(path, f"{_named(path)} is {show(node)}", near_names(given, allowed))
    if kind == "string_pattern_mismatch":
        return _name(path, node, details)
    if kind in ("too_short", "string_too_short"):
        return Wording(path, f"{_named(path)} is empty", f"at least {context.get('min_length', 1)} is needed")
    if kind in ("too_long", "string_too_long"):
        return Wording(path, f"{_named(path)} is too long", f"at most {context.get('max_length')}")
    if kind == "greater_than_equal":
        return Wording(path, f"{_named(path)} is {show(node)}; the least is {context.get('ge')}")
    if kind == "less_than_equal":
        return Wording(path, f"{_named(path)} is {show(node)}; the most is {context.get('le')}")
    wanted = _WANTED.get(kind)
    if wanted is None:
        return Wording(path, f"{_named(path)} is {show(node)}, which does not fit")
    return Wording(path, f"{_named(path)} is {show(node)}; it takes {wanted}", _type_hint(kind, node))


def _own_rule(error: object, path: Path) -> Wording:
    if isinstance(error, Mistake):
        return Wording((*path, error.at) if error.at else path, error.message, error.hint, at_key=error.at is not None)
    return Wording(path, str(error))


def _missing(path: Path, model: type[BaseModel]) -> Wording:
    description = _description(path, model)
    return Wording(path[:-1], f"{path[-1]!r} is missing{_below(path)}", description, at_key=True)


def _name(path: Path, node: Node | None, details: dict[str, Any]) -> Wording:
    is_key = details["loc"][-1] == "[key]"
    value = path[-1] if is_key or node is None else node.value
    pattern = str(details.get("ctx", {}).get("pattern"))
    words = _GRAPH_WORDS if "A-Z" in pattern else _NAME_WORDS
    for begin, what, hint in _OTHER_PATTERNS:
        if pattern.startswith(begin):
            return Wording(path, f"{value!r} is no {what}{_below(path)}", hint, at_key=is_key)
    return Wording(path, f"{value!r} is no name{_below(path)}", words, at_key=is_key)


def _type_hint(kind: str, node: Node | None) -> str | None:
    value = node.value if node is not None and node.kind == "scalar" else None
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "y", "n"):
        return f"in YAML 1.2 {value} is a text; write {'true' if value.lower() in ('yes', 'on', 'y') else 'false'}"
    if kind == "string_type" and value is not None and not isinstance(value, str):
        return f'quote it: "{node.raw if node else value}"'
    return None


def show(node: Node | None) -> str:
    """A value as a message shows it, cut short."""
    if node is None:
        return "absent"
    if node.kind != "scalar":
        return f"a {node.kind}"
    if node.value is None:
        return "empty"
    text = repr(node.value) if isinstance(node.value, str) else node.raw
    return text if len(text) <= 60 else text[:57] + "…"


def dotted(path: Path) -> str:
    """A path as people write it: `steps[0].rename.a`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".")


def _named(path: Path) -> str:
    return repr(dotted(path)) if path else "the file"


def _below(path: Path) -> str:
    return f" in {dotted(path[:-1])}" if len(path) > 1 else ""


# ------------------------------------------------------------------------------------------------------ the models


def fields_at(path: Path, top: type[BaseModel] = Pipeline) -> list[str]:
    """The keys a file may have at a path."""
    return [name for model in _models_at(path, top) for name in _aliases(model)]


def _description(path: Path, top: type[BaseModel]) -> str | None:
    for model in _models_at(path[:-1], top):
        info = _aliases(model).get(str(path[-1]))
        if info is not None and info.description:
            return str(info.description)
    return None


def _aliases(model: type[BaseModel]) -> Mapping[str, Any]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _models_at(path: Path, top: type[BaseModel]) -> list[type[BaseModel]]:
    annotations: list[Any] = [top]
    for part in path:
        annotations = [inner for one in annotations for inner in _step_into(one, part)]
    return [one for one in annotations if isinstance(one, type) and issubclass(one, BaseModel)]


def _step_into(annotation: Any, part: str | int) -> Iterator[Any]:
    origin = get_origin(annotation)
    if isinstance(annotation, type) and origin is None and issubclass(annotation, BaseModel):
        info = _aliases(annotation).get(str(part))
        if info is not None:
            yield from unwrap(info.annotation)
    elif origin is list and isinstance(part, int):
        yield from unwrap(get_args(annotation)[0])
    elif origin is dict:
        yield from unwrap(get_args(annotation)[1])


def unwrap(annotation: Any) -> Iterator[Any]:
    """The members of a union, without `Annotated`."""
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from unwrap(member)
    elif hasattr(annotation, "__metadata__"):
        yield from unwrap(get_args(annotation)[0])
    else:
        yield annotation
