"""`scaffold connector` makes a connector that is green from the first minute, in a copy of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_workbench.cli.scaffold import make_connector
from data_workbench.errors import UsageError

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[3]
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".workbench", "__pycache__", "*.pyc", ".mypy_cache", ".ruff_cache")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REPOSITORY, tmp_path / "repository", ignore=_LEFT_OUT))


def called(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python that sees the copy's package, not this one's."""
    environment = {**os.environ, "PYTHONPATH": str(copy / "include"), "RUFF_NO_CACHE": "true", "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


@pytest.mark.parametrize("name", ["acme", "parts_store"])
def test_a_scaffolded_connector_passes_the_conformance_suite_and_the_documents_tests(copy: Path, name: str) -> None:
    made, changed = make_connector(name, copy)
    assert all((copy / path).is_file() for path in made)
    assert len(changed) == 3
    tests = [f"tests/unit/connectors/{name}", "tests/unit/connectors/test_spec.py", "tests/unit/docs"]
    done = called(copy, "-m", "pytest", "-q", *tests)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"tests/unit/connectors/{name}" not in done.stdout, "no conformance case is skipped or expected to fail"
    code = [str(path) for path in (*made, *changed) if path.suffix == ".py"]
    called(copy, "-m", "ruff", "check", "--fix-only", *code)  # `make format`: another name sorts elsewhere
    style = called(copy, "-m", "ruff", "check", *code)
    assert style.returncode == 0, style.stdout
    told = called(copy, "-c", "from data_workbench.cli import main; main()", "connections", "types", name)
    assert "extra.suffix" in told.stdout, told.stderr


def test_the_conformance_suite_finds_a_scaffolded_connector_that_was_broken(copy: Path) -> None:
    make_connector("acme", copy)
    place = copy / "include/data_workbench/connectors/acme/destination.py"
    text = place.read_text()
    broken = text.replace("and row[OWNER] == mine", "")
    assert broken != text
    place.write_text(broken)
    done = called(copy, "-m", "pytest", "-q", "tests/unit/connectors/acme")
    assert done.returncode == 1
    assert "test_rows_of_another_pipeline_are_foreign_and_not_deleted" in done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Acme", "cannot name"),
        ("a", "cannot name"),
        ("class", "cannot name"),
        ("../up", "cannot name"),
        ("files", "already"),
        ("postgres", "already"),
    ],
)
def test_a_name_that_cannot_be_used_writes_nothing(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_connector(name, REPOSITORY)


def test_another_folder_than_the_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no"):
        make_connector("acme", tmp_path)
