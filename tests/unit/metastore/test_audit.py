"""The form of an entry: what is hashed, what is kept out, what is too large."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from data_workbench.language.params import secret_params
from data_workbench.language.spec import Param
from data_workbench.metastore import audit
from data_workbench.metastore.audit import Act, Author, chained
from data_workbench.metastore.runs import _told_options
from data_workbench.pipelines.options import RunOptions

AT = datetime(2026, 11, 23, 8, 0, 0, 5, tzinfo=UTC)


def test_the_hash_is_that_of_the_documented_form() -> None:
    entry = chained(AT, Author("Ada", "cli", "ticket"), Act("run.begun", "p", {"n": 1}), sequence=1, previous="0" * 64)
    written = (
        '{"action":"run.begun","actor":"Ada","at":"2026-11-23T08:00:00.000005Z","correlation_id":null,'
        '"details":"{\\"n\\": 1}","form":"odras-audit/1","object":"p","origin":"cli",'
        '"previous":"' + "0" * 64 + '","reason":"ticket","run_id":null,"sequence":1}'
    )
    assert entry.hash == hashlib.sha256(written.encode()).hexdigest()


def test_a_moment_is_written_in_utc_whatever_its_zone() -> None:
    there = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert audit.moment_text(there) == audit.moment_text(AT) == "2026-11-23T08:00:00.000005Z"


def test_text_that_postgres_refuses_is_hashed_as_it_is_stored() -> None:
    act = Act("run.begun", "nul \x00, half \ud800", {"text": "\x00\ud800"})
    entry = chained(AT, Author("a", "cli"), act, sequence=1, previous="0" * 64)
    assert "\x00" not in entry.object + entry.details
    assert entry.hash == entry.computed_hash()
    (entry.object + entry.details).encode()


def test_details_that_are_too_large_are_told_by_their_hash() -> None:
    entry = chained(AT, Author("a", "cli"), Act("x", "y", {"rows": ["z"] * 50_000}), sequence=1, previous="")
    told = json.loads(entry.details)
    assert told["left_out"] == "too large"
    assert len(told["sha256"]) == 64


def test_params_declared_secret_or_named_so_are_redacted() -> None:
    declared = {"code": Param(secret=True), "api_token": Param(), "project": Param(), "nothing": Param(secret=True)}
    secrets = secret_params(declared)
    values = {"code": "geheim", "api_token": "geheim", "project": "p", "nothing": None}
    assert audit.redacted(values, secrets) == {"code": "***", "api_token": "***", "project": "p", "nothing": None}


def test_keys_of_a_replay_are_counted_not_told() -> None:
    keys = {"rows": [{"id": "person-7"}, {"id": "person-8"}]}
    options = RunOptions(only_keys=keys, edits={"rows": [{"key": {"id": "person-7"}, "set": {"x": 1}}]})
    assert _told_options(options.to_json()) == {"only_keys": 2, "edits": 1}
    assert _told_options(RunOptions(full_refresh=True, limit=5).to_json()) == {"full_refresh": True, "limit": 5}


def test_the_command_line_acts_as_the_systems_user_for_the_reason_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_REASON", "ticket 4711")
    monkeypatch.setenv("LOGNAME", "ada")
    assert Author.of_process() == Author("ada", "cli", "ticket 4711")
