"""Examples in the documents are cut from files that are tested, and are right."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from data_workbench.connectors.connections import Connection, from_environment
from data_workbench.language.definition import parse_definition
from data_workbench.pipelines.archive_policies import load_policy
from data_workbench.pipelines.checks import lint, lint_paths
from data_workbench.pipelines.contract_files import load_contract
from data_workbench.pipelines.watch_files import load_watches
from data_workbench.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = sorted([*(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "README.md"])
LANGUAGE = REPOSITORY / "docs" / "user-guide" / "pipeline-language.md"
_FOLDERS = ("tests/fixtures/pipelines/", "tests/golden/", "dags/pipelines/", "dags/archives/", "dags/contracts/")
FROM = (*_FOLDERS, "dags/watches.example.yaml", "docker-compose.yaml")

_YAML = re.compile(r"(?:<!-- from: (?P<file>\S+) -->\n)?^```yaml\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [(path, found) for path in PAGES for found in _YAML.finditer(path.read_text(encoding="utf-8"))]
_IDS = [f"{path.stem}-{number}" for number, (path, _) in enumerate(BLOCKS)]


@pytest.mark.parametrize(("path", "block"), BLOCKS, ids=_IDS)
def test_a_yaml_example_is_cut_from_a_file_or_is_a_whole_pipeline(path: Path, block: re.Match[str]) -> None:
    text, origin = block["text"], block["file"]
    if origin is None:
        assert path == LANGUAGE, f"{path.name}: an example without a line that says where it is from"
        if re.search(r"^version: ", text, re.MULTILINE):
            assert [str(one) for one in lint(parse_definition(text))] == []
        return
    assert origin.startswith(FROM), f"{origin} is not among the files that tests run"
    file = (REPOSITORY / origin).read_text(encoding="utf-8")
    assert textwrap.dedent(text) in textwrap.dedent(file) or text in file, f"{origin} does not read like this"


@pytest.mark.parametrize("file", sorted({block["file"] for _, block in BLOCKS if block["file"]}))
def test_the_files_of_examples_lint_clean(file: str) -> None:
    if file.startswith("dags/archives/"):
        assert load_policy(REPOSITORY / file, Settings()).archive == Path(file).stem
    elif file.startswith("dags/watches"):
        assert load_watches(Settings(watches=REPOSITORY / file)).watches
    elif file.startswith("dags/contracts/"):
        assert load_contract(REPOSITORY / file, Settings()).contract.contract == Path(file).stem
    elif not file.endswith(("docker-compose.yaml", "workbench.yaml")) and "golden" not in file:
        findings, _ = lint_paths([REPOSITORY / file])
        assert [str(one) for one in findings] == []


def test_no_fixture_for_the_documents_is_unused() -> None:
    used = {block["file"] for _, block in BLOCKS}
    kept = {f"{FROM[0]}{path.name}" for path in (REPOSITORY / FROM[0]).glob("docs_*.yaml")}
    assert kept - used == set()


def test_every_example_of_a_connector_is_run_by_a_test() -> None:
    folder = REPOSITORY / "tests" / "integration" / "pipelines"
    runs = "".join(path.read_text(encoding="utf-8") for path in folder.glob("test_*.py"))
    kept = {path.name for path in (REPOSITORY / FROM[0]).glob("docs_*.yaml")}
    assert {name for name in kept if f'"{name}"' not in runs} == set()


def connections() -> list[Connection]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    found = dict(re.findall(r"^export (AIRFLOW_CONN_\w+)='(\{.*\})'$", text, re.MULTILINE))
    read = [from_environment(name.removeprefix("AIRFLOW_CONN_").lower(), found) for name in found]
    return [one for one in read if one is not None]


@pytest.mark.parametrize("connection", connections(), ids=lambda one: one.id)
def test_a_connection_in_the_documents_is_understood(connection: Connection) -> None:
    from data_workbench.connectors.registry import spec_of

    assert spec_of(connection.kind).of(connection) is not None


def test_the_connections_of_the_shipped_pipelines_are_shown() -> None:
    shipped = "".join(path.read_text() for path in (REPOSITORY / "dags" / "pipelines").glob("*.yaml"))
    used = set(re.findall(r"connection: (\w+)", shipped)) | {"workbench_metastore"}
    assert used - {one.id for one in connections()} == set()


def test_python_examples_parse() -> None:
    import ast

    for path in PAGES:
        for text in re.findall(
            r"^ *```python\n(.*?)^ *```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            ast.parse(textwrap.dedent(text))
