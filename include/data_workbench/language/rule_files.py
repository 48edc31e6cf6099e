"""Sets of rules that pipelines share: files `*.rules.yaml` beside or below the pipeline files that name them.

A pipeline is loaded with the rules in it, so that its hash, its stored plan and every check see them.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from data_workbench.errors import DefinitionError, Finding
from data_workbench.language.wording import explain
from data_workbench.language.yaml_tree import Problem, Unreadable, read_tree
from data_workbench.transforms.spec_values import RuleSet

ENDING = ".rules.yaml"
TESTS_ENDING = ".test.yaml"
"""Of tests of the pipeline file with the same beginning; see `testing`."""

TEMPLATE_ENDING = ".template.yaml"
"""Of skeletons of pipelines; see `templates`."""


def is_pipeline_file(path: Path) -> bool:
    """Whether a file's name says that it defines a pipeline, not a set of rules, tests or a template."""
    return path.suffix in (".yaml", ".yml") and not path.name.endswith((ENDING, TESTS_ENDING, TEMPLATE_ENDING))


def find_rule_file(folder: Path, name: str) -> Path:
    """The file that a pipeline in `folder` means.

    Raises:
        ValueError: it has another ending, leads out of the folder, or is not there.
    """
    if not name.endswith(ENDING):
        raise ValueError(f"{name!r} does not end in {ENDING}")
    root = folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"{name!r} leads out of the pipeline's folder")
    if not path.is_file():
        raise ValueError(f"there is no file {name!r} in the pipeline's folder")
    return path


def load_rule_set(path: Path, most_bytes: int) -> RuleSet:
    """A set of rules.

    Raises:
        DefinitionError: the file cannot be read, or is broken; with places in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(path, f"cannot be read ({type(error).__name__})") from None
    if len(text) > most_bytes:
        raise _broken(path, f"has more than {most_bytes} characters")
    try:
        tree, problems = read_tree(text)
    except Unreadable as error:
        raise DefinitionError([_finding(path, one) for one in error.problems]) from None
    if problems:
        raise DefinitionError([_finding(path, one) for one in problems])
    try:
        return RuleSet.model_validate(tree.plain())
    except ValidationError as error:
        findings = []
        for word in explain(error, tree):
            place = tree.locate(word.path, key=word.at_key)
            findings.append(Finding(str(path), place.line, place.column, word.message, word.hint))
        raise DefinitionError(findings) from None


def _broken(path: Path, message: str) -> DefinitionError:
    return DefinitionError([Finding(str(path), 1, 1, f"the file of rules {message}")])


def _finding(path: Path, problem: Problem) -> Finding:
    return Finding(str(path), problem.place.line, problem.place.column, problem.message, problem.hint)
