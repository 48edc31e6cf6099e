"""What commands import: little where little is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[3]
CODE = """
import sys
from data_workbench.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("@@", *{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], {"pyarrow", "numpy", "pydantic", "rich", "sqlalchemy", "psycopg"}),
        (
            ["lint", "dags/pipelines"],
            {"pandas", "qdrant_client", "neo4j", "sqlalchemy", "psycopg", "soda_core", "rich"},
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_imports_only_what_it_needs(arguments: list[str], unwanted: set[str]) -> None:
    command = [sys.executable, "-c", CODE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert not unwanted & set(done.stdout.rpartition("@@")[2].split())
