"""The published schema and the language guide are those of the models."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from pydantic import BaseModel

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import parse_definition
from data_workbench.language.yaml_tree import read_tree
from data_workbench.pipelines.schema_export import (
    models,
    pipeline_schema,
    roots,
    schema_text,
    with_key_tables,
    write_schema,
)

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "tests" / "fixtures" / "pipelines" / "requirements_example.yaml"
GUIDE = REPOSITORY / "docs" / "user-guide" / "pipeline-language.md"
GOOD = REPOSITORY / "tests" / "fixtures" / "good_pipelines"
BAD = REPOSITORY / "tests" / "fixtures" / "bad_pipelines"


@cache
def _validator() -> Draft7Validator:
    return Draft7Validator(pipeline_schema())


def _plain(text: str) -> object:
    return read_tree(text)[0].plain()


def test_the_committed_schema_is_current() -> None:
    committed = (REPOSITORY / "docs" / "schema" / "pipeline.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "run make schema"


def test_write_schema_writes_it(tmp_path: Path) -> None:
    write_schema(tmp_path / "pipeline.json")
    assert json.loads((tmp_path / "pipeline.json").read_text()) == pipeline_schema()


def test_the_schema_is_draft_07() -> None:
    schema = pipeline_schema()
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$defs" not in schema_text()
    assert "prefixItems" not in schema_text()


def test_the_example_fits_the_schema() -> None:
    errors = list(_validator().iter_errors(_plain(EXAMPLE.read_text(encoding="utf-8"))))
    assert errors == []


@pytest.mark.parametrize("path", sorted([*GOOD.glob("*.yaml"), *BAD.glob("*.yaml")]), ids=lambda path: path.stem)
def test_the_schema_refuses_no_more_than_the_models(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    with suppress(DefinitionError):
        parse_definition(text)
        assert list(_validator().iter_errors(_plain(text))) == []


def test_the_schema_refuses_an_unknown_key() -> None:
    values = _plain((BAD / "unknown_key.yaml").read_text())
    assert list(_validator().iter_errors(values))


def test_every_key_has_a_description() -> None:
    walked = [one for _, root in roots() for one in models(root)]
    absent = [
        f"{one.__name__}.{name}" for one in walked for name, info in one.model_fields.items() if not info.description
    ]
    assert absent == []


@pytest.mark.parametrize(("page", "root"), list(roots()))
def test_every_page_with_tables_has_every_key(page: str | None, root: type[BaseModel]) -> None:
    text = (GUIDE.parent / page if page else GUIDE).read_text(encoding="utf-8")
    assert with_key_tables(text, root) == text, "run `make schema`"
    for model in models(root):
        assert f"### {model.__name__}\n" in text
        for name, info in model.model_fields.items():
            assert f"| `{info.alias or name}` |" in text


def test_the_examples_of_the_guide_are_read() -> None:
    from data_workbench.pipelines.checks import lint

    blocks = GUIDE.read_text(encoding="utf-8").split("```yaml\n")[1:]
    whole = [block.partition("```")[0] for block in blocks if block.startswith("version:")]
    assert len(whole) >= 3
    for text in whole:
        assert lint(parse_definition(text)) == []
