"""The tree of errors: what to do is told by the parent, and nothing is lost between processes."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from data_workbench import errors
from data_workbench.errors import (
    DefinitionError,
    FatalError,
    Finding,
    MomentUnreadable,
    RetriableError,
    SkippableError,
    UsageError,
    WorkbenchError,
)


def family(parent: type[WorkbenchError]) -> list[type[WorkbenchError]]:
    """A class and all below it that the product defines."""
    below = [one for child in parent.__subclasses__() for one in family(child)]
    return [one for one in (parent, *below) if one.__module__.startswith("data_workbench")]


ALL = family(WorkbenchError)


def make(kind: type[WorkbenchError]) -> WorkbenchError:
    if issubclass(kind, DefinitionError):
        return kind([Finding("a.yaml", 1, 2, "wrong", "do this"), Finding("a.yaml", 3, 4, "worse")])
    return kind("what happened", hint="what to do", run_id="run-1")


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_error_survives_a_trip_to_another_process(kind: type[WorkbenchError]) -> None:
    error = make(kind)
    error.run_id = "run-2"
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert again.as_dict() == error.as_dict()
        assert str(again) == str(error)
        assert again.exit_code == error.exit_code
        assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_drawn_tree_and_in_one_family(kind: type[WorkbenchError]) -> None:
    if kind.__module__ == errors.__name__:
        assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")
    families = [one for one in (RetriableError, SkippableError, FatalError) if issubclass(kind, one)]
    assert len(families) == (0 if kind is WorkbenchError else 1)
    assert kind.__doc__


def test_only_wrong_use_and_broken_files_exit_with_2() -> None:
    assert {kind for kind in ALL if kind.exit_code == 2} == {UsageError, MomentUnreadable, DefinitionError}
    assert {kind.exit_code for kind in ALL} == {1, 2}


def test_findings_read_as_compilers_write_them() -> None:
    error = make(DefinitionError)
    assert str(error) == "a.yaml:1:2: wrong (do this)\na.yaml:3:4: worse"
    assert error.as_dict() == {"kind": "DefinitionError", "message": str(error), "hint": None, "run_id": None}
