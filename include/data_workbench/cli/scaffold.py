"""`scaffold connector`: a connector that works from the first minute, for a newcomer to replace piece by piece."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from pathlib import Path

import click

from data_workbench.cli.answer import command, say_json
from data_workbench.cli.root import root
from data_workbench.errors import UsageError

_TEMPLATES = Path(__file__).parent / "templates" / "connector"
_REGISTRY = Path("include/data_workbench/connectors/registry.py")
_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
_CODE = ("__init__.py", "config.py", "client.py", "source.py", "destination.py")

_ENTRY = """        Connector(
            "acme",
            "Acme",
            "data_workbench.connectors.acme.source:AcmeSource",
            "data_workbench.connectors.acme.destination:AcmeDestination",
            "acme",
            "data_workbench.connectors.acme.config:AcmeConfig",
        ),
"""
_NAV = "          - Acme: user-guide/connectors/acme.md\n"
_LINK = ", [Acme](user-guide/connectors/acme.md)"


@root.group()
def scaffold() -> None:
    """Make the beginnings of something new in this repository."""


@command(scaffold)
@click.argument("name")
@click.option(
    "--root", "top", type=click.Path(file_okay=False, path_type=Path), default=".", help="The repository's root."
)
def connector(name: str, top: Path, as_json: bool) -> None:
    """Make connector NAME: its folder, tests with the conformance suite, a page, and the lines that make it known."""
    made, changed = make_connector(name, top)
    if as_json:
        say_json({"connector": name, "made": [str(path) for path in made], "changed": [str(path) for path in changed]})
        return
    for word, paths in (("made", made), ("changed", changed)):
        for path in paths:
            click.echo(f"{word:8} {path}")
    click.echo(f"next: make format docs && .venv/bin/python -m pytest tests/unit/connectors/{name}")
    click.echo("then: docs/developer/how-to/add-a-connector.md, from step 2 on")


def make_connector(name: str, top: Path) -> tuple[list[Path], list[Path]]:
    """Write the files of a new connector below the repository `top`; those made and those changed, relative to it.

    Raises:
        UsageError: the name cannot be used, there is such a connector, or `top` is no repository of ours.
    """
    _check(name, top)
    made = {Path(f"include/data_workbench/connectors/{name}/{file}"): f"{file}.tmpl" for file in _CODE}
    made[Path(f"tests/unit/connectors/{name}/test_{name}_conformance.py")] = "test_conformance.py.tmpl"
    made[Path(f"tests/integration/pipelines/test_{name}.py")] = "test_example.py.tmpl"
    made[Path(f"docs/user-guide/connectors/{name}.md")] = "page.md.tmpl"
    made[Path(f"tests/fixtures/pipelines/docs_{name}.yaml")] = "pipeline.yaml.tmpl"
    lines = {one: _named(text, name) for one, text in (("registry", _ENTRY), ("nav", _NAV), ("link", _LINK))}
    edits: dict[Path, Callable[[str], str]] = {
        _REGISTRY: lambda text: _put(text, r"^    \)\n\}\n", lines["registry"], before=True),
        Path("mkdocs.yml"): lambda text: _put(text, r"^ +- .*: user-guide/connectors/\w+\.md\n", lines["nav"]),
        Path("docs/index.md"): lambda text: _put(text, r"\[[^\]\n]+\]\(user-guide/connectors/\w+\.md\)", lines["link"]),
    }
    changed = {path: edit((top / path).read_text(encoding="utf-8")) for path, edit in edits.items()}
    for path, template in made.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(_named((_TEMPLATES / template).read_text(encoding="utf-8"), name), encoding="utf-8")
    for path, text in changed.items():
        (top / path).write_text(text, encoding="utf-8")
    return list(made), list(changed)


def _check(name: str, top: Path) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot name a connector",
            hint="small letters, digits and underscores, such as acme or acme_graph",
        )
    registry = top / _REGISTRY
    if not registry.is_file():
        raise UsageError(
            f"{top.resolve()} holds no {_REGISTRY}", hint="call it at the repository's root, or give --root"
        )
    if registry.parent.joinpath(name).exists() or f'"{name}"' in registry.read_text(encoding="utf-8"):
        raise UsageError(f"there is a connector {name!r} already", hint="choose another name; nothing was written")


def _named(template: str, name: str) -> str:
    """A template's text for another name than Acme."""
    spoken = "".join(word.capitalize() for word in name.split("_"))
    return template.replace("acme", name).replace("Acme", spoken)


def _put(text: str, pattern: str, addition: str, *, before: bool = False) -> str:
    """The text with an addition after (or before) the last place that looks like the pattern."""
    places = list(re.finditer(pattern, text, re.MULTILINE))
    if not places:
        raise UsageError(f"no place was found for {addition.strip()!r}", hint="add it by hand; see the how-to")
    at = places[0].start() if before else places[-1].end()
    return text[:at] + addition + text[at:]
