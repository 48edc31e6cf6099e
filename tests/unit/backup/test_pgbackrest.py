"""pgBackRest as an engine, as far as nothing has to be installed: what is refused, and how its complaints are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_workbench.backup.choosing import Chooser
from data_workbench.backup.judging import Limits, Observation, judge
from data_workbench.backup.manifest import StoredStore
from data_workbench.backup.pgbackrest import PgBackRest, _meaning, owner_of
from data_workbench.connectors.connections import Connection, Connections
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    StateError,
    StoreBusy,
    StoreUnavailable,
    Unsupported,
    UsageError,
)
from data_workbench.recovery.point_in_time import first_segment
from data_workbench.settings import Settings

_SERVER = Connection(id="site", kind="postgres", host="127.0.0.1", port=1, database="site")


def test_no_stanza_leads_another_option_into_the_command() -> None:
    for name in ("", "--repo1-path=/", "a b", "x" * 200):
        with pytest.raises(UsageError, match="is no stanza of pgBackRest"):
            PgBackRest(name)


def test_a_machine_without_the_program_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="there is no program pgbackrest on this machine"):
        PgBackRest("odras").info()


@pytest.mark.parametrize(
    ("command", "said", "kind"),
    [
        ("check", "ERROR: [068]: archive_command '(disabled)' must contain pgbackrest", StateError),
        (
            "check",
            "ERROR: [055]: unable to load info file '/r/archive.info'\n HINT: has a stanza-create been",
            StateError,
        ),
        ("backup", "ERROR: [050]: unable to acquire lock on file '/tmp/odras-backup.lock'", StoreBusy),
        ("backup", "ERROR: [056]: unable to find primary cluster - cannot proceed", StoreUnavailable),
        ("info", "ERROR: [041]: unable to open file '/r/backup.info' for read: [13] Permission denied", AccessDenied),
        ("restore", "ERROR: [075]: backup set 20261127-022041F is not valid", FatalError),
    ],
)
def test_what_pgbackrest_complains_of_is_an_error_of_ours(command: str, said: str, kind: type[Exception]) -> None:
    told = _meaning(command, 1, said)
    assert type(told) is kind
    assert str(told.message).startswith(f"pgbackrest {command} failed: ")
    assert "ERROR" not in told.message
    if kind is StateError:
        assert "archive_command are the server owner's to set" in str(told.hint)


def test_a_kind_of_backup_that_it_does_not_make_is_refused_before_anything_begins(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, point_in_time="site", pgbackrest="odras", pgbackrest_type="hourly")
    chooser = Chooser(Connections({"site": _SERVER}.get), settings, str(tmp_path))
    with pytest.raises(UsageError, match="WORKBENCH_PGBACKREST_TYPE is 'hourly'"):
        chooser.choose(())


def test_only_root_needs_somebody_to_run_it_as(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert owner_of("/nowhere") is None
    monkeypatch.setattr("os.geteuid", lambda: 0)
    account = owner_of(str(tmp_path))
    assert account is not None
    assert account.uid == tmp_path.stat().st_uid
    with pytest.raises(StateError, match="cannot be reached from here"):
        owner_of(str(tmp_path / "elsewhere"))


def test_a_backup_of_its_needs_the_log_from_its_beginning_on() -> None:
    details = {
        "segment_size": "16MB",
        "end_lsn": "0/5000050",
        "timeline": 1,
        "start_segment": "000000010000000000000004",
    }
    own = StoredStore(kind="cluster", connection="site", details=details)
    assert first_segment(own) == ("000000010000000000000005", 16 * 1024**2), "pg_basebackup brings those before"
    referred = own.model_copy(update={"details": {**details, "engine": "pgbackrest"}})
    assert first_segment(referred) == ("000000010000000000000004", 16 * 1024**2)


def test_a_set_whose_backup_has_expired_is_told_as_damaged() -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    seen = Observation(address="/b", at=now, expired={"20261126T013000Z-abcdef": "pgBackRest has no backup X any more"})
    limits = Limits(newest=timedelta(days=1), verified=timedelta(days=8), log=timedelta(minutes=15), free=0)
    [found] = [one for one in judge(seen, limits) if one.cause == "damaged"]
    assert found.severity == "critical"
    assert found.title == "the backup 20261126T013000Z-abcdef is damaged: pgBackRest has no backup X any more"
