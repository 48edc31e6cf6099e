"""Whatever a user can meet stands in the documents: the real things are walked, and a missing one is named."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

from data_workbench import errors, settings
from data_workbench.connectors.registry import CONNECTORS
from data_workbench.records import accounting, marks

REPOSITORY = Path(__file__).resolve().parents[3]
PRODUCT = REPOSITORY / "include" / "data_workbench"
GUIDE = REPOSITORY / "docs" / "user-guide"


def page(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """From a heading to the next one of any level; empty if it is not there."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def in_code(text: str, word: str) -> bool:
    """Whether a word stands in the text as code, alone or with others."""
    return re.search(rf"`[^`\n]*(?<![\w-]){re.escape(word)}(?![\w-])[^`\n]*`", text) is not None


def missing(words: list[str], text: str) -> list[str]:
    return [word for word in words if not in_code(text, word)]


# ------------------------------------------------------------------------------------------------- the command line


def commands() -> Iterator[tuple[str, click.Command]]:
    from data_workbench.cli import (  # noqa: F401  # they add commands
        archive,
        archived,
        audit,
        backup,
        catalog,
        changes,
        checking,
        connections,
        contracts,
        importing,
        incidents,
        lineage,
        local,
        pipelines,
        profiling,
        restore,
        scaffold,
        stores,
        testing,
        tokens,
        unusual,
    )
    from data_workbench.cli.root import root

    def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            for name, child in sorted(command.commands.items()):
                yield from walk(child, f"{path} {name}")
        else:
            yield path, command

    yield from walk(root, "workbench")


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=[path for path, _ in commands()])
def test_a_command_is_documented_with_its_options(path: str, command: click.Command) -> None:
    text = section(page("user-guide/api/cli.md"), path)
    assert text, f"docs/user-guide/api/cli.md has no heading {path!r}"
    options = [name for item in command.params if isinstance(item, click.Option) for name in item.opts[-1:]]
    assert missing([name for name in options if name != "--json"], text) == []
    assert "JSON: " in text


def test_the_options_of_a_run_stand_on_its_page() -> None:
    run = dict(commands())["workbench run"]
    options = [item.opts[-1] for item in run.params if isinstance(item, click.Option) and item.name != "as_json"]
    assert missing(options, page("user-guide/runs.md")) == []


def test_the_fields_of_the_json_documents_are_named() -> None:
    from data_workbench.pipelines import effects, explain, result

    def keys(function: object) -> list[str]:
        return re.findall(r'"(\w+)": ', inspect.getsource(function))  # type: ignore[arg-type]  # a function

    assert missing(keys(result.run_document), page("user-guide/runs.md")) == []
    described = [explain._source, explain._steps, explain._destination, effects.as_document, explain._without_stores]
    named = {key for function in described for key in keys(function)} - {"target", "kind", "input", "name", "type"}
    assert missing(sorted(named - {"nullable"}), section(page("user-guide/api/cli.md"), "workbench plan")) == []


# ------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("item", dataclasses.fields(settings.Settings), ids=lambda item: item.name)
def test_a_setting_is_documented_with_its_default(item: dataclasses.Field) -> None:
    name = f"WORKBENCH_{item.name.upper()}"
    rows = [line for line in page("user-guide/settings.md").splitlines() if line.startswith(f"| `{name}` ")]
    assert len(rows) == 1, f"{name} has {len(rows)} rows in settings.md"
    if isinstance(item.default, int | float):
        assert str(item.default) in rows[0]


def test_every_port_is_documented() -> None:
    text = page("user-guide/settings.md")
    for name, offset in settings.PORT_OFFSETS.items():
        assert re.search(rf"^\| {offset} \|.*`{name}` \|$", text, re.MULTILINE), name


def test_every_environment_variable_is_documented() -> None:
    places = [*PRODUCT.rglob("*.py"), *(REPOSITORY / "dags").glob("*.py"), *(REPOSITORY / "include").rglob("*.py")]
    places += [REPOSITORY / name for name in ("Makefile", "docker-compose.yaml", "docker/Dockerfile")]
    places += [REPOSITORY / "tests" / "conftest.py"]
    pattern = re.compile(r"(?<![A-Z_$])(?:WORKBENCH|QDRANT)_[A-Z][A-Z_]+(?![A-Z_])")
    found = {name for place in places if place.exists() for name in pattern.findall(place.read_text(encoding="utf-8"))}
    # Ends of connection ids and of names of ports, not variables of their own.
    found -= {"WORKBENCH_FILES", "QDRANT_PORT"}
    assert missing(sorted(found), page("user-guide/settings.md")) == []


def test_every_variable_of_compose_is_documented() -> None:
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    assert missing(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE), page("user-guide/docker-compose.md")) == []


# ------------------------------------------------------------------------------------------------- errors, counts


def kinds(parent: type[errors.WorkbenchError]) -> Iterator[type[errors.WorkbenchError]]:
    yield parent
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from kinds(child)


@pytest.mark.parametrize("kind", sorted({one.__name__ for one in kinds(errors.WorkbenchError)}))
def test_a_kind_of_error_has_its_meaning_and_next_step(kind: str) -> None:
    assert len(section(page("user-guide/troubleshooting.md"), kind).strip()) > 40


def test_every_count_is_explained() -> None:
    runs = [accounting.SourceCounts, accounting.StepCounts, accounting.WriteCounts, accounting.RelationshipCounts]
    words = {item.name.rstrip("_") for tally in runs for item in dataclasses.fields(tally)}
    assert missing(sorted(words), page("user-guide/runs.md")) == []
    compared = [item.name for item in dataclasses.fields(accounting.ReconciliationCounts)]
    assert missing(compared, page("user-guide/reconciliation.md")) == []


def test_states_of_runs_and_of_quarantined_rows_are_explained() -> None:
    from data_workbench.metastore.quarantine import QuarantineState
    from data_workbench.metastore.runs import RunState
    from data_workbench.metastore.tables import metadata

    text = page("user-guide/runs.md")
    assert missing([*get_args(RunState), *get_args(QuarantineState)], text) == []
    assert missing(sorted(metadata.tables), text) == []


# ------------------------------------------------------------------------------------------------------ the language


def test_every_step_verb_is_documented() -> None:
    from data_workbench.transforms.spec import Step

    text = section(page("user-guide/pipeline-language.md"), "Steps")
    assert missing([name for name in Step.model_fields if name not in ("name", "input")], text) == []


# ------------------------------------------------------------------------------------------------------- connectors


@pytest.mark.parametrize("kind", sorted(CONNECTORS))
def test_a_connector_has_a_page_that_tells_what_it_can_do(kind: str) -> None:
    from importlib import import_module

    text = page(f"user-guide/connectors/{CONNECTORS[kind].page}.md")
    assert in_code(text, kind)
    headings = ["Connection", "Types", "Limits"]
    if CONNECTORS[kind].source:
        headings.append("Source")
    if CONNECTORS[kind].destination:
        headings.append("Destination")
        module, name = str(CONNECTORS[kind].destination).split(":")
        able = getattr(import_module(module), name).capabilities
        assert missing(sorted(able.dispositions), text) == []
        if able.replace:
            assert re.search(rf"\*\*[^*\n]*{able.replace}[^*\n]*\*\*", text), f"how atomic a replace is: {able.replace}"
    for heading in headings:
        assert section(text, heading) or f"\n## {heading}\n" in text, heading


BESIDE = {"rest": ("http",), "graphql": ("http",)}
"""Rooms that connectors share."""
DIALECTS = {"sqlite": "sqlite.py", "duckdb": "duck.py", "mysql": "mysql.py"}
PASSED_ON = {"rest", "graphql", "singer", "reqif"}
"""Connectors whose errors also come from a room that stands on a page of its own, or from a server's answers."""


def raised(kind: str) -> set[str]:
    """The errors that a connector's code makes: called, or kept in a table of what a driver's mean."""
    room = str(CONNECTORS[kind].source).split(".")[2]
    known = {one.__name__ for one in kinds(errors.WorkbenchError)}
    found = {"UsageError"}  # by the config model of every connector
    for name in (room, *BESIDE.get(room, ())):
        for path in (PRODUCT / "connectors" / name).rglob("*.py"):
            if path.name in set(DIALECTS.values()) - {DIALECTS.get(kind)}:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                calls = [node.func] if isinstance(node, ast.Call) else []
                parts = [*calls, *(node.elts if isinstance(node, ast.Tuple) else [])]
                is_caught = isinstance(node, ast.ExceptHandler) and node.type
                if not is_caught:
                    found |= {part.id for part in parts if isinstance(part, ast.Name)} & known
    return found - {"WorkbenchError", "RetriableError", "SkippableError"}


@pytest.mark.parametrize("kind", sorted(CONNECTORS))
def test_the_errors_of_a_connector_stand_on_its_page_and_no_others(kind: str) -> None:
    table = section(page(f"user-guide/connectors/{CONNECTORS[kind].page}.md"), "Errors")
    told = set(re.findall(r"`([A-Z]\w+)`", table)) & {one.__name__ for one in kinds(errors.WorkbenchError)}
    room = str(CONNECTORS[kind].source).split(".")[2]
    of_others = raised("workbench_rest") if room == "graphql" else set()
    assert raised(kind) - told - of_others == set(), "made by the code, and not on the page"
    if room not in PASSED_ON:
        assert told - raised(kind) == set(), "on the page, and made nowhere"


@pytest.mark.parametrize("kind", sorted(CONNECTORS))
def test_the_keys_of_a_connection_stand_on_its_page_as_the_model_says(kind: str) -> None:
    from data_workbench.connectors.pages import with_key_table

    text = page(f"user-guide/connectors/{CONNECTORS[kind].page}.md")
    assert text == with_key_table(text, kind), "run `make schema`"


def test_every_option_of_a_source_is_documented() -> None:
    from data_workbench.connectors.files.options import FileOptions
    from data_workbench.connectors.qdrant.source import QdrantOptions

    assert missing(list(FileOptions.model_fields), page("user-guide/connectors/files.md")) == []
    assert missing(list(QdrantOptions.model_fields), page("user-guide/connectors/qdrant.md")) == []
    from data_workbench.connectors.rdf.streams import RdfOptions
    from data_workbench.connectors.reqif.source import ReqifOptions
    from data_workbench.connectors.singer.source import SingerOptions

    assert missing(list(RdfOptions.model_fields), page("user-guide/connectors/rdf.md")) == []
    assert missing(list(ReqifOptions.model_fields), page("user-guide/connectors/reqif.md")) == []
    assert missing(list(SingerOptions.model_fields), page("user-guide/connectors/singer.md")) == []
    assert missing(["as_text"], page("user-guide/connectors/postgres.md")) == []
    assert missing(["sample"], page("user-guide/connectors/neo4j.md")) == []


def test_what_is_left_in_a_store_is_documented() -> None:
    from data_workbench.connectors.neo4j import names
    from data_workbench.connectors.postgres import checkpoints

    left = [marks.STAMP_PIPELINE, marks.STAMP_RUN]
    assert missing([*left, marks.STAMP_MODEL, marks.STAMP_TEXT_HASH], page("user-guide/connectors/qdrant.md")) == []
    graph = page("user-guide/connectors/neo4j.md")
    assert missing([*left, names.KEY, names.LOAD_LABEL, names.HELD_LABEL], graph) == []
    tables = re.findall(r"CREATE TABLE IF NOT EXISTS _workbench\.(\w+)", checkpoints._CREATE)
    assert missing(tables, page("user-guide/connectors/postgres.md")) == []


def test_every_embedding_model_is_documented() -> None:
    from data_workbench.embedding import known_models

    assert missing(list(known_models()), page("user-guide/connectors/qdrant.md")) == []


# ---------------------------------------------------------------------------------------------------------- Airflow


def classes_in(folder: Path, ending: str) -> list[str]:
    """Public classes by name, without importing Airflow."""
    found = [node.name for path in sorted(folder.rglob("*.py")) for node in ast.parse(path.read_text()).body
             if isinstance(node, ast.ClassDef)]  # fmt: skip
    return [name for name in found if name.endswith(ending) and not name.startswith("_")]


def test_every_operator_and_hook_is_documented() -> None:
    text = page("user-guide/airflow.md")
    assert missing(classes_in(PRODUCT / "provider", "Operator"), text) == []
    assert missing(classes_in(PRODUCT / "provider", "Hook"), text) == []


def test_every_dag_is_documented() -> None:
    text = page("user-guide/airflow.md")
    written = "".join(path.read_text() for path in (REPOSITORY / "dags").glob("*.py"))
    assert missing(re.findall(r'with DAG\(\s*"(\w+)"', written), text) == []
    assert missing(["pipeline__<name>", "reconcile__<name>"], text) == []


def test_everything_that_can_be_given_over_rest_is_documented() -> None:
    from data_workbench.provider import params

    names = [*params._RUN_OPTIONS, *params._REQUEST, *params._REMEDY]
    assert missing(names, page("user-guide/airflow.md")) == []


# ----------------------------------------------------------------------------------------------------------- inside


def test_every_room_stands_in_the_architecture() -> None:
    text = section(page("developer/architecture.md"), "Rooms and arrows")
    rooms = [path.parent.name for path in PRODUCT.glob("*/__init__.py")]
    assert [room for room in rooms if not re.search(rf"\b{room}\b", text)] == []


def test_every_action_of_the_audit_trail_is_documented() -> None:
    texts = [path.read_text(encoding="utf-8") for path in PRODUCT.rglob("*.py")]
    found = {name for text in texts for name in re.findall(r'\bAct\(\s*"([\w.]+)"', text)}
    around = {name for text in texts for name in re.findall(r'\brecorded\(\s*[\w.]+,\s*"([\w.]+)"', text)}
    found |= {f"{name}.begun" for name in around}
    assert {"quarantine.edited", "backup.create.begun", "token.revoked"} <= found
    assert missing(sorted(found), page("user-guide/audit.md")) == []


def test_every_event_is_named() -> None:
    emitted = {
        name for path in PRODUCT.rglob("*.py") for name in re.findall(r'\bemit\(\s*"([\w.]+)"', path.read_text())
    }
    emitted.discard("load.committed")  # the example in a docstring
    assert missing(sorted(emitted), page("developer/architecture.md")) == []


def test_every_make_verb_is_documented() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    verbs = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    text = page("developer/testing.md")
    assert [verb for verb in verbs if f"`make {verb}`" not in text] == []
    told = set(re.findall(r"`make ([a-z-]+)`", text))
    assert told - set(verbs) == set(), "told, but not in the Makefile"


def test_every_optional_power_stands_in_the_walk_to_a_new_connector() -> None:
    from data_workbench.connectors import base

    powers = [name for name in vars(base) if name.startswith("Can")]
    assert missing(powers, page("developer/how-to/add-a-connector.md")) == []


def test_the_table_of_hostile_values_is_the_one_that_tests_move() -> None:
    from tests.fixtures.hostile_values import documented

    lines = page("user-guide/hostile-values.md").splitlines()
    assert [line for line in lines if line.startswith("|")] == documented()
