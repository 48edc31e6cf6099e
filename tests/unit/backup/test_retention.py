"""Which sets stay, and that no rule removes the last good one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests.unit.backup.conftest import START, Repository

from data_workbench.backup.manifest import Manifest, new_set_id
from data_workbench.backup.retention import Policy, decide, parse_policy, prune
from data_workbench.backup.undeleting import undelete
from data_workbench.backup.verification import check_content
from data_workbench.errors import UsageError

NOTHING = Policy(last=0, daily=0, weekly=0, monthly=0, yearly=0, replaced=0)


def of(hours: int, repository: Repository, **changes: object) -> Manifest:
    """A set so many hours after the first: of all of them one is really made."""
    name = next(iter(repository.vault.set_ids()), None)
    made = repository.vault.find(name) if name else repository.make({"a": b"a"})
    when = START + timedelta(hours=hours)
    return made.model_copy(update={"set": new_set_id(when), "created": when, **changes})


def kept(
    sets: list[Manifest], policy: Policy, *, now: datetime, verified: tuple[str, ...] = ()
) -> dict[str, list[str]]:
    """Reasons by set, of those that stay."""
    found = decide(sets, policy, now=now, is_verified=lambda name: name in verified)
    return {one.set_id: list(one.reasons) for one in found if one.is_kept}


def test_days_weeks_and_months_each_keep_their_newest(repository: Repository) -> None:
    sets = [of(12 * number, repository) for number in range(120)]  # two a day for sixty days
    policy = Policy(last=2, daily=3, weekly=2, monthly=2, yearly=1)
    found = kept(sets, policy, now=sets[-1].created)
    by_rule = {rule: sum(rule in reasons for reasons in found.values()) for rule in ("last", "daily", "weekly")}
    assert by_rule == {"last": 2, "daily": 3, "weekly": 2}
    # The newest of November is the last set made in it.
    november = max(one.set for one in sets if one.created.month == 11)
    december = max(one.set for one in sets if one.created.month == 12)
    assert [name for name, reasons in found.items() if "monthly" in reasons] == [max(s.set for s in sets), december]
    assert november not in found


def test_the_newest_and_the_newest_verified_stay_whatever_is_said(repository: Repository) -> None:
    sets = [of(number, repository) for number in range(5)]
    found = kept(sets, NOTHING, now=sets[-1].created + timedelta(days=900), verified=(sets[0].set, sets[1].set))
    assert found == {sets[4].set: ["newest"], sets[1].set: ["newest verified"]}


def test_a_clock_set_back_removes_nothing(repository: Repository) -> None:
    sets = [of(number, repository) for number in range(4)]
    found = kept(sets, NOTHING, now=START + timedelta(minutes=30))
    assert {name for name, reasons in found.items() if "from the future" in reasons} == {one.set for one in sets[1:]}


def test_sets_of_some_stores_count_only_where_there_is_no_other(repository: Repository) -> None:
    sets = [of(number, repository, purpose="partial") for number in range(3)]
    now = sets[-1].created + timedelta(days=100)
    assert set(kept(sets, NOTHING, now=now)) == {sets[2].set}
    whole = of(-5, repository)
    assert set(kept([whole, *sets], NOTHING, now=now)) == {whole.set}


def test_what_a_restore_replaced_stays_some_days_and_is_never_the_newest(repository: Repository) -> None:
    first = of(0, repository)
    replaced = of(1, repository, purpose="replaced")
    policy = Policy(last=1, replaced=2)
    early = kept([first, replaced], policy, now=replaced.created + timedelta(days=1))
    late = kept([first, replaced], policy, now=replaced.created + timedelta(days=3))
    assert (early[replaced.set], "newest" in early[first.set]) == (["replaced"], True)
    assert set(late) == {first.set}


@pytest.mark.parametrize("text", ["last=0", "daily=0,weekly=0", "newest=3", "last", "last=-1", "last=x"])
def test_a_policy_that_keeps_nothing_or_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="WORKBENCH_BACKUP_RETENTION"):
        parse_policy(text)


def test_a_policy_is_read() -> None:
    assert parse_policy("last=2, weekly=4") == Policy(2, 0, 4, 0, 0, 14)
    assert parse_policy("") == Policy()


def test_removing_a_set_leaves_the_others_whole(repository: Repository) -> None:
    shared = b"in all of them" * 50_000
    sets = [repository.make({"shared": shared, "own": bytes([n]) * 1000}, number=n) for n in range(4)]
    repository.make({"half": b"unfinished" * 1000}, number=9, finish=False)
    done = prune(repository.vault, Policy(last=2, daily=0, weekly=0, monthly=0), now=sets[-1].created)
    assert done.removed == [sets[1].set, sets[0].set]
    assert len(done.unfinished) == 1
    assert done.chunks == 3  # what only the two removed and the unfinished one had
    assert repository.vault.set_ids() == [sets[2].set, sets[3].set]
    for one in sets[2:]:
        assert check_content(repository.reader(one.set)).problems == []


def test_while_a_set_cannot_be_read_no_chunk_is_removed(repository: Repository) -> None:
    sets = [repository.make({"own": bytes([n]) * 1000}, number=n) for n in range(3)]
    (repository.folder / "sets" / sets[0].set / "manifest.json").write_bytes(b"{")
    done = prune(repository.vault, Policy(last=1, daily=0, weekly=0, monthly=0), now=sets[-1].created)
    assert (done.removed, done.chunks, list(done.broken)) == ([sets[1].set], 0, [sets[0].set])
    assert len(repository.chunk_files()) == 3


def test_a_dry_run_removes_nothing(repository: Repository) -> None:
    sets = [repository.make({"own": bytes([n]) * 1000}, number=n) for n in range(3)]
    done = prune(repository.vault, Policy(last=1, daily=0, weekly=0, monthly=0), now=sets[-1].created, dry_run=True)
    assert done.removed == [sets[1].set, sets[0].set]
    assert len(repository.vault.set_ids()) == 3


def test_a_locked_set_stays_whatever_is_said_until_its_lock_ends(repository: Repository) -> None:
    until = START + timedelta(days=30)
    locked, newest = of(0, repository, locked_until=until, purpose="partial"), of(1, repository)
    early = kept([locked, newest], NOTHING, now=until - timedelta(minutes=1))
    assert early[locked.set] == ["locked until 2026-12-23 10:15 UTC"]
    assert set(kept([locked, newest], NOTHING, now=until)) == {newest.set}


def test_a_folder_keeps_no_versions_to_bring_back(repository: Repository) -> None:
    with pytest.raises(UsageError, match="is in no bucket"):
        undelete(repository.vault)
