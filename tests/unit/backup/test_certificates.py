"""A certificate tells what was measured, and one that was changed afterwards is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.backup.conftest import START, Repository

from data_workbench.audit import Keys, open_keys
from data_workbench.errors import StateError
from data_workbench.recovery.certificates import issue, read
from data_workbench.recovery.drills import Drill, DrillReport
from data_workbench.recovery.observing import observe
from data_workbench.recovery.trials import Tried
from data_workbench.settings import Settings


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    found = open_keys(Settings(home=tmp_path), makes=True)
    assert found is not None
    return found


def report(**more: Any) -> DrillReport:
    told = {"outcome": "passed", "reason": None, "streams": 1, "seconds": 1.5}
    tried = Tried(queries={"files": {"asked": 3, "wrong": []}}, pipelines={"a": {"clean": True, "share": 0.5}})
    return replace(DrillReport({"files": told}, 2.25, tried), **more)


def test_it_tells_what_was_measured_and_is_what_was_signed(repository: Repository, keys: Keys) -> None:
    made = repository.make()
    text = issue(made, report(), began=START + timedelta(hours=3), log_end=None, keys=keys)
    told = read(text.encode(), keys)
    assert (told["outcome"], told["rto_ms"], told["rpo_ms"]) == ("passed", 2250, 3 * 3600 * 1000)
    assert told["stores"]["files"]["count"] == 3
    assert told["tried"]["pipelines"]["a"]["share"] == "0.5"
    for name, value in (("rto_ms", 1), ("outcome", "failed"), ("set", "another"), ("extra", 1)):
        forged = json.dumps({**json.loads(text), name: value})
        with pytest.raises(StateError, match="not as it was signed"):
            read(forged.encode(), keys)
    for damaged in (b"", b"[]", text.encode()[:-9], b'{"form": "other", "signature": ""}'):
        with pytest.raises(StateError):
            read(damaged, keys)


def test_a_wrong_answer_fails_the_drill() -> None:
    assert report().outcome == "passed"
    assert report(tried=Tried(queries={"pg": {"asked": 1, "wrong": ["a row is not found"]}})).outcome == "failed"


def test_a_server_of_a_version_without_programs_is_not_verified(repository: Repository, tmp_path: Path) -> None:
    made = repository.make()
    old = made.stores["files"].model_copy(update={"kind": "postgres", "version": "9.6 (Debian)"})
    reader = replace(repository.reader(), manifest=made.model_copy(update={"stores": {"pg": old}}))
    found = Drill(reader, Settings(home=tmp_path)).run()
    assert found.outcome == "not_verified"
    assert found.stores["pg"]["reason"].startswith("not verified: needs PostgreSQL 9")
    assert found.tried is None


def test_a_certificate_outlives_checks_of_hashes_and_a_forged_one_is_no_proof(
    repository: Repository, keys: Keys, tmp_path: Path
) -> None:
    made = repository.make()
    text = issue(made, report(), began=START, log_end=None, keys=keys)
    repository.vault.keep_certificate(made.set, text.encode())
    repository.vault.keep_verification(made.set, {"kind": "hashes", "outcome": "passed", "checked": "2026-11-24"})
    settings = Settings(home=tmp_path)
    told = observe(repository.vault, settings).sets[0].verified
    assert told is not None
    assert (told["kind"], told["outcome"]) == ("drill", "passed")
    repository.vault.keep_certificate(made.set, text.replace("2250", "1").encode())
    forged = observe(repository.vault, settings).sets[0].verified
    assert forged is not None
    assert forged["outcome"] == "failed"
