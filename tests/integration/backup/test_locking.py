"""Sets in a bucket with Object Lock: nobody removes them before their time, and what is hidden comes back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.backup.test_all_stores import succeeded
from tests.integration.connectors.files.stores import KEY, S3, SECRET, moto
from tests.unit.backup.conftest import FILES, Repository, new_keyring

from data_workbench.backup.retention import Policy, prune
from data_workbench.backup.undeleting import undelete
from data_workbench.backup.vault import Vault, open_vault
from data_workbench.backup.verification import check_content
from data_workbench.backup.wal import Position, WalArchive
from data_workbench.connectors.connections import Connections
from data_workbench.errors import StateError, Unsupported, UsageError
from data_workbench.events import Event, subscribed
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

ONLY_THE_NEWEST = Policy(last=1, daily=0, weekly=0, monthly=0, replaced=0)


@dataclass
class Bucket:
    """A bucket with Object Lock, and a connection to a folder in it."""

    server: S3
    name: str

    @cached_property
    def client(self) -> Any:
        return self.server.client()

    @property
    def variable(self) -> str:
        extra = {"endpoint_url": self.server.endpoint, "region": "us-east-1"}
        value = {"conn_type": "workbench_files", "host": f"s3://{self.name}/sets", "login": KEY, "password": SECRET}
        return json.dumps({**value, "extra": extra})

    def vault(self, days: float = 30.0, mode: str = "governance") -> Vault:
        return open_vault("vault", Connections(), Settings(backup_lock_days=days, backup_lock_mode=mode))

    def repository(self, days: float = 30.0, mode: str = "governance") -> Repository:
        return Repository(Path(), new_keyring(), self.vault(days, mode))

    def versions(self, below: str = "") -> list[dict[str, Any]]:
        """Everything that takes room, hidden or not."""
        return list(self.client.list_object_versions(Bucket=self.name, Prefix=f"sets/{below}").get("Versions", ()))

    def held(self, version: dict[str, Any]) -> datetime | None:
        """Until when a version is locked."""
        which = {"Bucket": self.name, "Key": version["Key"], "VersionId": version["VersionId"]}
        found: datetime | None = self.client.head_object(**which).get("ObjectLockRetainUntilDate")
        return found

    def locks(self, below: str = "") -> dict[str, datetime]:
        found = {one["Key"].removeprefix("sets/"): self.held(one) for one in self.versions(below)}
        return {path: until for path, until in found.items() if until is not None}

    def lift(self) -> None:
        """Have all locks end, by the right that mode GOVERNANCE leaves."""
        past = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) - timedelta(days=1)}
        for one in self.versions():
            if self.held(one) is not None:
                which = {"Bucket": self.name, "Key": one["Key"], "VersionId": one["VersionId"]}
                self.client.put_object_retention(**which, Retention=past, BypassGovernanceRetention=True)


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with moto() as found:
        yield found


@pytest.fixture
def bucket(server: S3, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket(server, f"locked-{uuid.uuid4().hex[:12]}")
    made.client.create_bucket(Bucket=made.name, ObjectLockEnabledForBucket=True)
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", made.variable)
    return made


def test_what_a_set_needs_is_locked_and_what_a_newer_one_reuses_for_longer(bucket: Bucket) -> None:
    repository = bucket.repository(days=5)
    first = repository.make({"shared": FILES["large.bin"], "own": b"own" * 1000})
    early = bucket.locks()
    needed = {f"chunks/{name[:2]}/{name}.age" for name in first.chunks}
    assert early.keys() == needed | {"repository.json", f"sets/{first.set}/manifest.json"}
    assert {one["Key"] for one in bucket.versions()} - {f"sets/{path}" for path in early} == {
        f"sets/sets/{first.set}/begun.json"
    }
    for one in bucket.versions("chunks/"):
        with pytest.raises(bucket.client.exceptions.ClientError, match="AccessDenied"):
            bucket.client.delete_object(Bucket=bucket.name, Key=one["Key"], VersionId=one["VersionId"])

    longer = Repository(Path(), repository.keyring, bucket.vault(days=50))
    second = longer.make({"shared": FILES["large.bin"]}, number=1)
    late, shared = bucket.locks(), first.chunks.keys() & second.chunks.keys()
    assert second.new_bytes == 0
    for path in (*(f"chunks/{name[:2]}/{name}.age" for name in shared), "repository.json"):
        assert late[path] > early[path] + timedelta(days=44)
    [own] = first.chunks.keys() - shared
    assert late[f"chunks/{own[:2]}/{own}.age"] == early[f"chunks/{own[:2]}/{own}.age"]
    assert longer.vault.lock_of_set(second.set).mode == "GOVERNANCE"  # type: ignore[union-attr]  # it has one

    # A shorter lock shortens none, and a softer one softens none.
    strict = Repository(Path(), repository.keyring, bucket.vault(days=70, mode="compliance"))
    strict.make({"shared": FILES["large.bin"]}, number=2)
    firm = bucket.locks()
    Repository(Path(), repository.keyring, bucket.vault(days=90)).make({"shared": FILES["large.bin"]}, number=3)
    Repository(Path(), repository.keyring, bucket.vault(days=1)).make({"shared": FILES["large.bin"]}, number=4)
    for name in shared:
        path = f"chunks/{name[:2]}/{name}.age"
        found = bucket.client.head_object(Bucket=bucket.name, Key=f"sets/{path}")
        assert found["ObjectLockMode"] == "COMPLIANCE"
        assert found["ObjectLockRetainUntilDate"] > firm[path] + timedelta(days=19)


def test_thinning_out_leaves_what_is_locked_and_frees_the_room_of_what_no_more_is(bucket: Bucket) -> None:
    repository = bucket.repository()
    sets = [repository.make({"shared": FILES["large.bin"], "own": bytes([n]) * 1000}, number=n) for n in range(2)]
    repository.make({"half": b"unfinished" * 1000}, number=2, finish=False)

    # By what the manifests say it stays; where they know of no lock, by what the store says.
    done = prune(repository.vault, ONLY_THE_NEWEST, now=sets[1].created)
    [reason] = done.kept[sets[0].set]
    assert reason.startswith("locked until 2026-12-23 10:15")
    assert (done.removed, done.chunks, len(done.unfinished)) == ([], 0, 1)
    [(path, until)] = done.locked.items()  # the chunk of the set that was never finished
    assert path.startswith("chunks/")
    assert until is not None
    assert until > (datetime.now(UTC) + timedelta(days=29)).isoformat()
    late = sets[1].created + timedelta(days=40)
    told: list[Event] = []
    with subscribed(told.append):
        done = prune(repository.vault, ONLY_THE_NEWEST, now=late)
    assert (done.kept[sets[0].set], done.removed, done.chunks) == (("locked in the store",), [], 0)
    assert [event for event in told if event.name == "backup.removed" and event.facts.get("set") in done.kept] == []
    for one in sets:
        assert check_content(repository.reader(one.set)).problems == []

    bucket.lift()
    done = prune(bucket.vault(days=0), ONLY_THE_NEWEST, now=late)  # the setting may be gone, the sets were locked
    assert (done.removed, done.chunks, done.locked) == ([sets[0].set], 2, {})
    assert {one["Key"].rpartition("/")[2].removesuffix(".age") for one in bucket.versions("chunks/")} == set(
        sets[1].chunks
    )
    assert {one["Key"].split("/")[2] for one in bucket.versions("sets/")} == {sets[1].set}
    assert undelete(repository.vault).brought_back == []
    assert check_content(repository.reader(sets[1].set)).problems == []


def test_a_legal_hold_keeps_a_set_without_an_end(bucket: Bucket) -> None:
    repository = bucket.repository()
    sets = [repository.make({"own": bytes([n]) * 1000}, number=n) for n in range(2)]
    bucket.lift()
    key = f"sets/sets/{sets[0].set}/manifest.json"
    bucket.client.put_object_legal_hold(Bucket=bucket.name, Key=key, LegalHold={"Status": "ON"})
    done = prune(repository.vault, ONLY_THE_NEWEST, now=sets[1].created + timedelta(days=40))
    assert (done.removed, done.locked) == ([], {f"sets/{sets[0].set}/manifest.json": None})
    assert check_content(repository.reader(sets[0].set)).problems == []


def test_what_somebody_removed_or_wrote_over_comes_back(bucket: Bucket) -> None:
    repository = bucket.repository()
    first, second = repository.make(), repository.make({"own": b"own" * 1000}, number=1)
    [hidden, over, *_] = sorted(f"chunks/{name[:2]}/{name}.age" for name in first.chunks)
    bucket.client.delete_object(Bucket=bucket.name, Key=f"sets/{hidden}")
    with pytest.raises(StateError, match="the bucket still has it as a version") as told:
        repository.vault.chunk(hidden.rpartition("/")[2].removesuffix(".age"))
    assert "workbench backup undelete" in str(told.value.hint)
    for path in (over, f"sets/{second.set}/manifest.json", "repository.json"):
        bucket.client.put_object(Bucket=bucket.name, Key=f"sets/{path}", Body=b"ransom")
    for one in {version["Key"] for version in bucket.versions()} - {f"sets/{over}", "sets/repository.json"}:
        bucket.client.delete_object(Bucket=bucket.name, Key=one)
    with pytest.raises(StateError):
        bucket.vault().find(None)

    done = undelete(bucket.vault(days=0))
    needed = {f"chunks/{name[:2]}/{name}.age" for name in {**first.chunks, **second.chunks}}
    manifests = {f"sets/{one.set}/manifest.json" for one in (first, second)}
    assert set(done.brought_back) == (needed | manifests) - {over}
    assert set(done.put_right) == {over, f"sets/{second.set}/manifest.json", "repository.json"}
    assert done.lost == []
    fresh = Repository(Path(), repository.keyring, bucket.vault())
    for one in (first, second):
        assert check_content(fresh.reader(one.set)).problems == []
    assert bucket.locks().keys() >= needed | manifests | {"repository.json"}
    assert vars(undelete(bucket.vault())) == {"brought_back": [], "put_right": [], "lost": []}


def test_finished_segments_of_the_log_are_locked_and_unfinished_ones_take_no_room(
    bucket: Bucket, tmp_path: Path
) -> None:
    vault = bucket.vault()
    vault.prepare()
    archive = WalArchive(vault, new_keyring(), "7712423543216081865")
    name = "000000010000000000000001"
    for content in (b"some", b"some more"):
        (tmp_path / f"{name}.partial").write_bytes(content)
        archive.ship(tmp_path)
        archive.note(Position(datetime.now(UTC), "0/1000060", 1))
        assert len([one for one in bucket.versions("wal/") if ".partial." in one["Key"]]) == 1
    (tmp_path / f"{name}.partial").rename(tmp_path / name)
    archive.ship(tmp_path)
    [locked] = bucket.locks("wal/")
    assert locked.rpartition("/")[2].startswith(f"{name}.")
    assert [one for one in bucket.versions("wal/") if ".partial." in one["Key"]] == []
    bucket.client.delete_object(Bucket=bucket.name, Key=f"sets/{locked}")
    assert archive.names() == {}
    assert undelete(vault).brought_back == [locked]
    assert archive.damage() == []
    assert list(archive.names()) == [name]


def test_a_place_where_nothing_can_be_locked_is_refused_before_anything_is_written(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_vault(str(tmp_path / "backups"), Connections(), Settings(backup_lock_days=30))
    with pytest.raises(UsageError, match="object lock needs s3://"):
        Repository(Path(), new_keyring(), folder).make()
    assert not (tmp_path / "backups").exists()

    plain = f"plain-{uuid.uuid4().hex[:12]}"
    bucket.client.create_bucket(Bucket=plain)
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", bucket.variable.replace(bucket.name, plain))
    with pytest.raises(Unsupported, match="no bucket with Object Lock"):
        bucket.repository().make()
    assert bucket.client.list_objects_v2(Bucket=plain)["KeyCount"] == 0


def test_the_command_line_locks_tells_of_it_and_brings_back(shell: Shell, bucket: Bucket, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    folder.mkdir()
    (folder / "plan.bin").write_bytes(FILES["large.bin"])
    shell.variables = {
        **shell.variables,
        "AIRFLOW_CONN_OBJECTS": json.dumps({"conn_type": "workbench_files", "host": f"file://{folder}"}),
        "AIRFLOW_CONN_VAULT": bucket.variable,
        "WORKBENCH_BACKUPS": "vault",
        "WORKBENCH_BACKUP_STORES": "objects",
        "WORKBENCH_BACKUP_LOCK_DAYS": "30",
    }
    assert shell("db", "upgrade").code == 0
    made = succeeded(shell("backup", "create", "--json"))
    assert datetime.fromisoformat(made["locked_until"]) == datetime.fromisoformat(made["created"]) + timedelta(days=30)
    told = succeeded(shell("backup", "show", "--json"))
    assert told["lock"]["mode"] == "GOVERNANCE"
    assert datetime.fromisoformat(told["lock"]["until"]).timestamp() > datetime.now(UTC).timestamp() + 29 * 86_400
    listed = succeeded(shell("backup", "list", "--json"))["sets"][0]
    assert listed["lock"] == told["lock"]
    words = f"{datetime.fromisoformat(told['lock']['until']):%Y-%m-%d %H:%M} (governance)"
    for name in ("list", "show"):
        assert words in shell("backup", name).out
    _seen_by_page_and_metrics(shell, bucket, made)

    for one in {version["Key"] for version in bucket.versions()}:
        bucket.client.delete_object(Bucket=bucket.name, Key=one)
    (folder / "plan.bin").unlink()
    assert succeeded(shell("backup", "undelete", "--json"))["lost"] == []
    restored = shell("backup", "restore", made["set"], "--yes", "--json")
    assert restored.code == 0, restored.err
    assert (folder / "plan.bin").read_bytes() == FILES["large.bin"]
    thinned = succeeded(shell("backup", "prune", "--json"))
    assert any(reason.startswith("locked until") for reason in thinned["kept"][made["set"]])

    shell.variables = {**shell.variables, "WORKBENCH_BACKUPS": str(tmp_path / "elsewhere")}
    refused = shell("backup", "create")
    assert (refused.code, "object lock needs s3://" in refused.err) == (2, True), refused.err
    assert not (tmp_path / "elsewhere").exists()


def _seen_by_page_and_metrics(shell: Shell, bucket: Bucket, made: dict[str, Any]) -> None:
    """What the last look at the repository kept, and what becomes of it when somebody takes the lock off."""
    from data_workbench.api.services import backup_metrics
    from data_workbench.api.services.backups import locks_of
    from data_workbench.recovery.observing import observe

    def looked() -> tuple[str, dict[str, float]]:
        seen = observe(bucket.vault(), Settings())
        [one] = seen.sets
        found = {name.name: name.samples for name in backup_metrics.families(seen, frozenset())}
        values = {name: found[f"workbench_backup_{name}"] for name in ("locked_sets", "locked_until_timestamp_seconds")}
        return one.lock_state(seen.at), {name: one.value for name, [*some] in values.items() for one in some}

    told = succeeded(shell("backup", "show", "--json"))["lock"]
    until = datetime.fromisoformat(told["until"]).timestamp()
    assert looked() == ("held", {"locked_sets": 1.0, "locked_until_timestamp_seconds": until})
    locks = locks_of(observe(bucket.vault(), Settings()))
    assert locks is not None
    assert (locks.sets, locks.mode, locks.first_until) == (1, "governance", locks.newest_until)

    head = bucket.client.head_object(Bucket=bucket.name, Key=f"sets/sets/{made['set']}/manifest.json")
    retention = {"Mode": head["ObjectLockMode"], "RetainUntilDate": head["ObjectLockRetainUntilDate"]}
    bucket.lift()
    assert looked() == ("lifted", {"locked_sets": 0.0})
    status = shell("backup", "status", "--json")
    assert (status.code, "unlocked" in {one["cause"] for one in status.document["troubles"]}) == (1, True)
    assert "not locked any more" in shell("backup", "list").out
    for one in bucket.versions():
        which = {"Bucket": bucket.name, "Key": one["Key"], "VersionId": one["VersionId"]}
        if not one["Key"].endswith("begun.json"):
            bucket.client.put_object_retention(**which, Retention=retention)
