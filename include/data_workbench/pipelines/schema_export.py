"""The language for editors (JSON Schema, draft-07) and for readers (tables of keys), both made from the models."""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from data_workbench.archive.policy import Policy
from data_workbench.language.spec import Pipeline
from data_workbench.language.spec_reuse import Template
from data_workbench.language.spec_source import Source
from data_workbench.language.wording import unwrap
from data_workbench.pipelines.testing.spec import Cases
from data_workbench.quality.standalone.model import StandaloneContract
from data_workbench.records.definitions import MOST_COLUMNS

TESTS_FILE = "test.json"
"""The schema of test files, beside that of pipelines."""
TEMPLATE_FILE = "template.json"
ARCHIVE_FILE = "archive.json"
CONTRACT_FILE = "contract.json"
_GIVEN = ("sources", "destinations")
_BEGIN, _END = "<!-- keys: begin -->", "<!-- keys: end -->"


def pipeline_schema() -> dict[str, Any]:
    """The JSON Schema of a pipeline file."""
    about = ("Workbench pipeline", "A pipeline of the Data Management Workbench.")
    schema = _schema_of(Pipeline, "pipeline.json", *about)
    # A template and defaults may give what a file leaves out: which of it is missing, only lint can tell.
    for name in ("Source", "Destination"):
        schema["definitions"][name].pop("required", None)
    needed = [name for name in schema["required"] if name not in _GIVEN]
    return {**schema, "required": needed, "anyOf": [{"required": ["use"]}, {"required": list(_GIVEN)}]}


def template_schema() -> dict[str, Any]:
    """The JSON Schema of a template file."""
    about = ("Workbench template", "A skeleton of pipelines of the Data Management Workbench.")
    return _schema_of(Template, TEMPLATE_FILE, *about)


def tests_schema() -> dict[str, Any]:
    """The JSON Schema of a test file."""
    about = ("Workbench pipeline tests", "Unit tests of a pipeline of the Data Management Workbench.")
    return _schema_of(Cases, TESTS_FILE, *about)


def archive_schema() -> dict[str, Any]:
    """The JSON Schema of a policy of archiving."""
    about = ("Workbench archive policy", "A policy of archiving of the Data Management Workbench.")
    return _schema_of(Policy, ARCHIVE_FILE, *about)


def contract_schema() -> dict[str, Any]:
    """The JSON Schema of a contract file."""
    about = ("Workbench contract", "What a dataset promises, for the Data Management Workbench.")
    return _schema_of(StandaloneContract, CONTRACT_FILE, *about)


def _schema_of(model: type[BaseModel], name: str, title: str, description: str) -> dict[str, Any]:
    generated = model.model_json_schema(by_alias=True, mode="validation")
    converted = _convert(generated)
    definitions = converted.pop("definitions", {})
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "$id": name}
    body = {**converted, "title": title, "description": description}
    return {**head, **body, "definitions": definitions}


def _convert(value: Any) -> Any:
    """From the draft pydantic writes (2020-12) to draft-07."""
    if isinstance(value, list):
        return [_convert(one) for one in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, inner in value.items():
        if key == "$defs":
            out["definitions"] = {name: _convert(one) for name, one in inner.items()}
        elif key == "properties":
            out[key] = {name: _property(_convert(one)) for name, one in inner.items()}
        elif key == "$ref":
            out[key] = str(inner).replace("#/$defs/", "#/definitions/")
        elif key == "prefixItems":
            out["items"] = _convert(inner)
        elif key == "title":
            continue  # generated from names: says nothing new
        else:
            out[key] = _convert(inner) if key not in ("default", "const", "enum") else inner
    return _loosen(out)


def _property(schema: dict[str, Any]) -> dict[str, Any]:
    """In draft-07 what stands beside `$ref` is ignored, so a described reference is wrapped."""
    if "$ref" in schema and len(schema) > 1:
        return {**{key: inner for key, inner in schema.items() if key != "$ref"}, "allOf": [{"$ref": schema["$ref"]}]}
    return schema


def _loosen(schema: dict[str, Any]) -> dict[str, Any]:
    """What our validators take beyond the type pydantic tells: one name for a list of names, text for a duration."""
    is_names = schema.get("type") == "array" and schema.get("maxItems") == MOST_COLUMNS
    if is_names and schema.get("items", {}).get("type") == "string":
        kept = {key: inner for key, inner in schema.items() if key in ("description", "default")}
        bare = {key: inner for key, inner in schema.items() if key not in kept}
        return {**kept, "anyOf": [schema["items"], bare]}
    if schema.get("format") == "duration":
        return {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w) ?)+$"}
    return schema


def schema_text(schema: dict[str, Any] | None = None) -> str:
    """A schema as it is committed; that of pipelines if none is given."""
    return json.dumps(schema or pipeline_schema(), indent=2, ensure_ascii=False) + "\n"


def write_schema(path: str | Path) -> None:
    """Write the schema of pipelines and, beside it, those of the other files where editors find them."""
    Path(path).write_text(schema_text(), encoding="utf-8")
    beside = {
        TESTS_FILE: tests_schema(),
        TEMPLATE_FILE: template_schema(),
        ARCHIVE_FILE: archive_schema(),
        CONTRACT_FILE: contract_schema(),
    }
    for name, schema in beside.items():
        Path(path).with_name(name).write_text(schema_text(schema), encoding="utf-8")


# ------------------------------------------------------------------------------------------------------ tables of keys


def models(root: type[BaseModel] = Pipeline) -> list[type[BaseModel]]:
    """The models of the language, in the order in which a reader meets them."""
    found: list[type[BaseModel]] = [root]
    for model in found:
        for info in model.model_fields.values():
            inner = [one for one in _inner_models(info.annotation) if page_of(one) in (None, page_of(root))]
            found.extend(one for one in inner if one not in found)
    return found


def page_of(model: type[BaseModel]) -> str | None:
    """The connector's page that has the table of a model, and of those below it; None for the language guide."""
    return getattr(model, "page", None)


def _inner_models(annotation: Any) -> Iterator[type[BaseModel]]:
    for one in unwrap(annotation):
        if get_origin(one) in (list, dict):
            for argument in get_args(one):
                yield from _inner_models(argument)
        elif isinstance(one, type) and issubclass(one, BaseModel):
            yield one


def key_tables(root: type[BaseModel] = Pipeline) -> str:
    """A Markdown table of keys for each model."""
    return "\n".join(_table(model) for model in models(root))


def _table(model: type[BaseModel]) -> str:
    summary = (model.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    rows = [f"### {model.__name__}", "", summary, "", "| key | takes | default | meaning |", "|---|---|---|---|"]
    for name, info in model.model_fields.items():
        default = "needed" if info.is_required() else _default(info.get_default(call_default_factory=True))
        cells = (f"`{info.alias or name}`", _takes(info.annotation), default, info.description or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*rows, ""])


def _default(value: object) -> str:
    if value is None or value in ([], {}) or isinstance(value, BaseModel):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _takes(annotation: Any) -> str:
    named = [_one_type(one) for one in unwrap(annotation)]
    return ", ".join(dict.fromkeys(name for name in named if name))


def _one_type(one: Any) -> str:
    origin = get_origin(one)
    if origin is Literal:
        return " ".join(f"`{value}`" for value in get_args(one))
    if origin is list:
        return f"list of {_takes(get_args(one)[0])}"
    if origin is dict:
        return f"mapping to {_takes(get_args(one)[1])}"
    if isinstance(one, type) and issubclass(one, BaseModel):
        return f"[{one.__name__}]({page_of(one) or ''}#{one.__name__.lower()})"
    plain = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "timedelta": "duration"}
    plain["Any"] = "any value"
    return plain.get(getattr(one, "__name__", ""), "" if one is type(None) else str(typing.cast(Any, one)))


def with_key_tables(document: str, root: type[BaseModel] = Pipeline) -> str:
    """A page with its tables of keys made anew, between their two marks."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{key_tables(root)}\n{_END}{after}"


def roots() -> Iterator[tuple[str | None, type[BaseModel]]]:
    """The pages with tables of keys, as paths beside the language guide (None is the guide), and the models shown."""
    yield None, Pipeline
    for info in Source.model_fields.values():
        for model in _inner_models(info.annotation):
            if page := page_of(model):
                yield page, model
    yield Cases.page, Cases
    yield Template.page, Template
    yield Policy.page, Policy
    yield StandaloneContract.page, StandaloneContract


def write_key_tables(path: str | Path) -> None:
    """Bring the tables of the language guide, and of the pages beside it, up to date."""
    for page, root in roots():
        document = Path(path).parent / page if page else Path(path)
        document.write_text(with_key_tables(document.read_text(encoding="utf-8"), root), encoding="utf-8")


if __name__ == "__main__":
    write_schema(sys.argv[1])
    for document in sys.argv[2:]:
        write_key_tables(document)
