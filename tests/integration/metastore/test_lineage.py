"""The graph is a function of the set of events: neither order nor doubles matter, and it can be made again."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from data_workbench.lineage.facts import read_fact
from data_workbench.lineage.validation import findings
from data_workbench.metastore import lineage, lineage_retention
from data_workbench.metastore.lineage_reading import snapshot
from fixtures.lineage_events import START, facet, random_events, run_event, run_id

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore


def keep(store: Metastore, events: list[dict[str, Any]]) -> int:
    return lineage.keep(store, [read_fact(one) for one in events])


def graph(store: Metastore) -> dict[str, list[str]]:
    """All derived rows, in an order of their own."""
    with store.transaction() as connection:
        return {
            table.name: sorted(connection.scalars(text(f"SELECT t::text FROM {table.name} t")))
            for table in lineage._DERIVED
        }


def spans(store: Metastore, job: str) -> list[tuple[float, float | None, list[str]]]:
    """From when to when, in minutes, a job had which outputs."""
    statement = """
        SELECT s.valid_from, s.valid_to, array(SELECT d.name FROM lineage_dataset_edges e
            JOIN lineage_datasets d ON d.id = e.dataset_id
            WHERE e.version_id = s.version_id AND e.role = 'output' ORDER BY 1)
        FROM lineage_spans s JOIN lineage_jobs j ON j.id = s.job_id WHERE j.name = :job ORDER BY 1"""
    with store.transaction() as connection:
        found = connection.execute(text(statement), {"job": job}).all()
    minutes = timedelta(minutes=1)
    return [((a - START) / minutes, None if b is None else (b - START) / minutes, names) for a, b, names in found]


@pytest.mark.parametrize("seed", range(6))
def test_shuffled_and_doubled_events_give_the_graph_of_those_in_order(store: Metastore, seed: int) -> None:
    events = random_events(seed)
    assert len(events) >= 74
    assert [found for one in events for found in findings(one)] == []
    assert keep(store, events) == len(events)
    in_order = graph(store)
    assert {name for name, rows in in_order.items() if not rows} == set()
    assert keep(store, events) == 0
    assert lineage.rebuild(store, read_fact) == len(events)
    assert graph(store) == in_order

    with store.transaction() as connection:
        connection.execute(text(f"TRUNCATE lineage_events, {', '.join(one.name for one in lineage._DERIVED)}"))
    shuffled, chance = events * 2, random.Random(seed)
    chance.shuffle(shuffled)
    while shuffled:
        size = chance.randint(1, 20)
        keep(store, shuffled[:size])
        del shuffled[:size]
    assert graph(store) == in_order


def test_facets_that_come_in_another_order_are_kept_as_the_same_row(store: Metastore) -> None:
    told = [
        run_event(
            START, "START", "j", "r", run_facets={name: facet("Custom", said=name)}, job_facets={name: facet("X")}
        )
        for name in ("b", "a", "c")
    ]
    for minute, field in enumerate([{"name": "x", "type": "t"}, {"type": "t", "name": "x"}]):
        event = run_event(START + timedelta(minutes=minute), "RUNNING", "j", "r", writes={"d": {}})
        event["outputs"][0]["facets"]["schema"]["fields"] = [field]
        told.append(event)
    keep(store, told)
    wanted = graph(store)
    with store.transaction() as connection:
        connection.execute(text(f"TRUNCATE lineage_events, {', '.join(one.name for one in lineage._DERIVED)}"))
    for one in reversed(told):
        keep(store, [one])
    assert graph(store) == wanted


def test_senders_side_by_side_give_the_same_graph(store: Metastore) -> None:
    events = random_events(99)
    keep(store, events)
    wanted = graph(store)
    with store.transaction() as connection:
        connection.execute(text(f"TRUNCATE lineage_events, {', '.join(one.name for one in lineage._DERIVED)}"))
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda part: keep(store, events[part::3]), (0, 1, 2, 0, 1, 2))) == len(events)
    assert graph(store) == wanted


def test_edges_hold_from_the_run_that_has_them_to_the_run_that_lacks_them(store: Metastore) -> None:
    def run(minute: int, state: str, *writes: str) -> dict[str, Any]:
        at = START + timedelta(minutes=minute)
        return run_event(at, state, "j", f"r{minute}", reads=["a"], writes=dict.fromkeys(writes))

    keep(store, [run(50, "COMPLETE", "y"), run(10, "COMPLETE", "x"), run(30, "COMPLETE", "x", "y")])
    assert spans(store, "j") == [(10, 30, ["x"]), (30, 50, ["x", "y"]), (50, None, ["y"])]
    keep(store, [run(20, "COMPLETE", "x"), run(40, "FAIL", "z"), run(60, "COMPLETE", "y"), run(5, "START", "w")])
    told = [(5, 10, ["w"]), (10, 30, ["x"]), (30, 50, ["x", "y"]), (50, None, ["y"])]
    assert spans(store, "j") == told, "a failed run changes nothing, one that only says what it reads neither"
    at = START + timedelta(minutes=70)
    keep(store, [run_event(at, "START", "j", "r70", reads=["b"])])
    assert spans(store, "j") == told
    keep(store, [run_event(at + timedelta(minutes=1), "ABORT", "j", "r5")])
    assert spans(store, "j")[0] == (10, 30, ["x"]), "a run that was aborted never held"


def test_nothing_of_a_foreign_event_is_lost(store: Metastore) -> None:
    odd = {"_producer": "urn:x", "_schemaURL": "urn:y", "text": "\x00 \ud800 ' \" </script>", "n": 12345678901234567890}
    event = run_event(START, "COMPLETE", "j\x00", "r", writes={"out\ud800": None}, run_facets={"odd": odd})
    keep(store, [event, event])
    with store.transaction() as connection:
        [(kept, state, run)] = connection.execute(text("SELECT event, state, run_id FROM lineage_events")).all()
        assert (kept, state, run) == (event, "COMPLETE", run_id("r"))
        [facets] = connection.scalars(text("SELECT facets FROM lineage_runs"))
    assert facets["odd"]["facet"] == {**odd, "text": "␀ ? ' \" </script>"}, "PostgreSQL can look into it"


@pytest.mark.parametrize("seed", range(3))
def test_what_is_past_its_time_goes_and_what_held_since_stays(store: Metastore, seed: int) -> None:
    events = random_events(seed)
    keep(store, events)
    moments = sorted(read_fact(one).at for one in events)
    limit = moments[len(moments) // 2]
    later = [limit, *moments[len(moments) // 2 :: 7], moments[-1]]

    def standing() -> list[Any]:
        found = [snapshot(store, at) for at in later]
        return [(sorted(one.jobs), sorted(one.roles), sorted(map(str, one.columns))) for one in found]

    before = standing()
    removed = lineage_retention.expire(store, limit)
    assert 0 < removed < len(events)
    assert standing() == before
    assert lineage_retention.expire(store, limit) == 0
    assert lineage.rebuild(store, read_fact) == len(events) - removed
    assert standing() == before
