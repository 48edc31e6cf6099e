"""The documents name no machine, and the README tells every licence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = sorted([*(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("*.md"), REPOSITORY / "mkdocs.yml"])

_PATHS = re.compile(r"(?<![\w.])/(?:root|home/\w|work|Users|tmp/\w|mnt)\b/?")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert _PATHS.findall(text) == []


def test_the_readme_tells_the_licences() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    wanted = ("Apache", "Elastic License 2.0", "NOTICE-CWE", "openlineage-airflow", "for trying and testing only")
    assert [word for word in wanted if word not in text] == []
