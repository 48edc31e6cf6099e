"""Sets are put in order by the clock of the database, whatever the clock of the machine that made them did."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.unit.backup.conftest import START, Repository

from data_workbench.backup.manifest import Manifest, StoredStore
from data_workbench.recovery.point_in_time import PointInTime, bases, stands_for
from data_workbench.settings import Settings


def made(repository: Repository, number: int, server_time: datetime, *, moved: bool = False) -> Manifest:
    """A set whose id says one time, and its database another."""
    manifest = repository.make(number=number, finish=False)
    marks = {"pg": {"server_time": server_time.isoformat()}}
    details = {"system_identifier": "7", "end_time": (server_time + timedelta(minutes=1)).isoformat()}
    stores = {
        "pg.cluster": StoredStore(kind="cluster", connection="pg", details=details),
        "graph": StoredStore(kind="neo4j", connection="graph", moved=moved),
    }
    point = manifest.recovery_point.model_copy(update={"marks": marks})
    finished = manifest.recovery_point.at + timedelta(minutes=30)
    changed = {"stores": stores, "recovery_point": point, "finished": finished, "chunks": {}}
    manifest = manifest.model_copy(update=changed)
    repository.vault.publish(manifest)
    return manifest


def hours(number: float) -> datetime:
    return START + timedelta(hours=number)


def test_a_clock_that_was_set_back_does_not_mislead(repository: Repository) -> None:
    first = made(repository, 9, hours(1))  # by a machine eight hours ahead
    second = made(repository, 2, hours(2))  # whose clock was put right
    assert [stands_for(one) for one, _ in bases(repository.vault)] == [hours(1), hours(2)]

    def at(number: float) -> PointInTime:
        return PointInTime(repository.vault, repository.keyring, Settings(), hours(number))

    assert at(1.5).sets(["graph"], first) == {}, "the base's own is the newest before it"
    assert at(2.5).sets(["graph"], first) == {"graph": second}
    assert at(2.5).sets(["graph"], second) == {}
    assert at(2.5).sets(["vectors"], first) == {}, "no set has them"


def test_a_store_that_moved_is_as_of_the_end_of_its_export(repository: Repository) -> None:
    base = made(repository, 0, hours(0))
    moving = made(repository, 2, hours(2), moved=True)
    for number, found in ((2.25, {}), (2.75, {"graph": moving})):
        moment = PointInTime(repository.vault, repository.keyring, Settings(), hours(number))
        assert moment.sets(["graph"], base) == found
