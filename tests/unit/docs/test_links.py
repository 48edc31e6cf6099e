"""Every relative link leads somewhere, every page is in the navigation."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md")])
_FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")


def prose(path: Path) -> str:
    """A page without its code blocks."""
    return _FENCED.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Anchors that both Python-Markdown and GitHub make of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return set(map(_as_mkdocs, headings)) & set(map(_as_github, headings))


def _as_mkdocs(heading: str) -> str:
    plain = unicodedata.normalize("NFKD", heading.replace("`", "")).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def _as_github(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in _LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        place = (path.parent / target).resolve() if target else path
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(link)
        if DOCS in path.parents and place.exists() and DOCS not in place.parents:
            broken.append(f"{link} leads out of docs/, where a built site has nothing")
    assert broken == []


def test_every_page_is_in_the_navigation() -> None:
    configuration = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r": ([\w/-]+\.md)$", configuration, re.MULTILINE)
    written = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert sorted(listed) == sorted(written)


def test_every_page_is_reached_from_another() -> None:
    reached: set[Path] = {DOCS / "index.md"}
    for path in PAGES:
        links = (link.partition("#")[0] for link in _LINK.findall(prose(path)))
        reached |= {(path.parent / link).resolve() for link in links if link.endswith(".md")}
    assert [str(path) for path in PAGES if path not in reached and path.parent != REPOSITORY] == []
