"""Policies of archiving in YAML: read with every mistake at its place, their conditions checked as those of sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from data_workbench.archive.policy import Policy
from data_workbench.errors import DefinitionError, Finding, UsageError
from data_workbench.language.wording import dotted, explain
from data_workbench.language.yaml_tree import Node, Problem, Unreadable, read_tree
from data_workbench.settings import Settings

_ENDINGS = (".yaml", ".yml")
_NO_PARAMS = "a policy has no params; write the value itself"


def load_policy(path: Path, settings: Settings) -> Policy:
    """A policy's file.

    Raises:
        DefinitionError: it cannot be read or is broken; with every mistake and its place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(path, f"cannot be read ({type(error).__name__})") from None
    if len(text) > settings.max_definition_bytes:
        raise _broken(path, f"has more than {settings.max_definition_bytes} characters")
    try:
        tree, problems = read_tree(text)
    except Unreadable as error:
        raise DefinitionError([_finding(path, one) for one in error.problems]) from None
    if problems:
        raise DefinitionError([_finding(path, one) for one in problems])
    try:
        policy = Policy.model_validate(tree.plain())
    except ValidationError as error:
        raise DefinitionError(_mistakes(path, error, tree)) from None
    _check_condition(path, policy, tree)
    return policy


def find_policy(name: str, settings: Settings) -> Policy:
    """A policy given by the path of its file, or in the folder of policies by its file's name or its own.

    Raises:
        UsageError: there is none of this name.
        DefinitionError: it is broken.
    """
    if name.endswith(_ENDINGS):
        return load_policy(Path(name), settings)
    known = policy_files(settings)
    if name not in known:
        for path in known.values():
            with suppress(DefinitionError):
                if (policy := load_policy(path, settings)).archive == name:
                    return policy
        hint = (
            f"policies in {settings.archive_policies}: {', '.join(known)}" if known else "give the path of a YAML file"
        )
        raise UsageError(f"no policy of archiving {name!r}", hint=hint)
    return load_policy(known[name], settings)


def policy_files(settings: Settings) -> dict[str, Path]:
    """Files of the folder of policies, by their names without the ending."""
    folder = settings.archive_policies
    return {path.stem: path for path in sorted(folder.glob("*")) if path.suffix in _ENDINGS}


def all_policies(settings: Settings) -> list[Policy]:
    """Every policy of the folder. Raises DefinitionError with the mistakes of all, and for a name that stands twice."""
    found, findings = read_policies(policy_files(settings).values(), settings)
    if findings:
        raise DefinitionError(findings)
    return found


def read_policies(paths: Iterable[Path], settings: Settings) -> tuple[list[Policy], list[Finding]]:
    """The policies of these files that may be carried out, and what is wrong with the others; two of one name are."""
    found: list[Policy] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            policy = load_policy(path, settings)
        except DefinitionError as error:
            findings += error.findings
            continue
        if any(one.archive == policy.archive for one in found):
            findings.append(Finding(str(path), 1, 1, f"policy {policy.archive!r} stands in another file, too"))
        found.append(policy)
    times = Counter(one.archive for one in found)
    return [one for one in found if times[one.archive] == 1], findings


def _check_condition(path: Path, policy: Policy, tree: Node) -> None:
    if policy.where is None:
        return
    from data_workbench.transforms.expressions import check_expression
    from data_workbench.transforms.words import ExpressionError

    try:
        check_expression(policy.where, columns=None, params={}, what="where")
    except ExpressionError as error:
        place = tree.locate_inside(("where",), error.line, error.column)
        hint = _NO_PARAMS if "$" in error.message else error.hint
        raise DefinitionError([Finding(str(path), place.line, place.column, error.message, hint)]) from None


def _mistakes(path: Path, error: ValidationError, tree: Node) -> list[Finding]:
    findings = []
    for word in explain(error, tree, Policy):
        place = tree.locate(word.path, key=word.at_key)
        # What a rule of a value's own says does not name the key.
        key = dotted(word.path)
        message = word.message if not word.path or str(word.path[-1]) in word.message else f"{key}: {word.message}"
        findings.append(Finding(str(path), place.line, place.column, message, word.hint))
    return findings


def _broken(path: Path, message: str) -> DefinitionError:
    return DefinitionError([Finding(str(path), 1, 1, f"the policy of archiving {message}")])


def _finding(path: Path, problem: Problem) -> Finding:
    return Finding(str(path), problem.place.line, problem.place.column, problem.message, problem.hint)
