"""Pipeline files of all kinds become DAGs; broken ones say so and leave the others alone."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.provider.conftest import Parsed

pytestmark = pytest.mark.slow


def test_a_sound_file_is_a_dag_with_its_owner_tags_and_words(parsed: Parsed) -> None:
    dag = parsed.cases["pipeline__sound"]
    assert dag["owner"] == "somebody"
    assert dag["tags"] == ["mine", "pipeline"]
    assert "All is well. And more." in dag["doc"]
    assert "workbench_files" in dag["doc"]
    assert "pipeline__renamed" in parsed.cases


@pytest.mark.parametrize(
    ("stem", "place", "said"),
    [
        ("typing_error", "5:1", "sourcse"),
        ("not-yaml", "3:1", ""),
        ("bad_cron", "3:11", "61 25"),
        ("bad_full", "3:19", "every day"),
        ("needs_param", "3:11", "'who'"),
        ("twice", "2:11", "'sound'"),
        ("whose_files", "3:18", "connection: ID"),
        ("no_table", "3:1", "is not a timetable"),
        ("own_table", "3:1", "listed in WORKBENCH_PYTHON_MODULES"),
        ("bad_table", "3:1", "does not take these arguments"),
    ],
)
def test_a_broken_file_is_a_dag_that_names_the_place(parsed: Parsed, stem: str, place: str, said: str) -> None:
    dag = parsed.cases[f"pipeline__{stem}"]
    assert dag["tags"] == ["broken"]
    assert dag["schedule"] == "None"
    assert f"| {place} |" in dag["doc"], dag["doc"]
    assert said in dag["doc"]
    assert list(dag["tasks"]) == ["read_file"]


def test_datasets_are_waited_for_as_assets(parsed: Parsed) -> None:
    schedule = parsed.cases["pipeline__waits"]["schedule"]
    assert "odras_postgres:public.flights" in schedule
    assert "handmade" in schedule
    assert parsed.cases["pipeline__always"]["schedule"] == "@continuous"


def test_what_is_named_at_run_time_is_waited_for_as_an_asset_alias(parsed: Parsed) -> None:
    dag = parsed.cases["pipeline__waits_for_alias"]
    assert "AssetAlias(name='whatever_changed'" in dag["schedule"]
    assert "after an update of what is named `whatever_changed`" in dag["doc"]


def test_ranges_of_a_source_are_tasks_mapped_over_what_splits_it(parsed: Parsed) -> None:
    dag = parsed.cases["pipeline__ranged"]
    upstream = {name: task["upstream"] for name, task in dag["tasks"].items()}
    assert upstream == {
        "split": [],
        "stage_range": ["split"],
        "stage": ["split", "stage_range"],
        "load.out": ["stage"],
        "reconcile": ["load.out"],
    }
    tasks = {one["__var"]["task_id"]: one["__var"] for one in dag["serialised"]["dag"]["tasks"]}
    assert tasks["stage_range"]["_is_mapped"] is True
    assert tasks["stage"]["trigger_rule"] == "none_failed_min_one_success", "there may be no range to read"
    assert dag["tasks"]["stage_range"]["retries"] == dag["tasks"]["stage"]["retries"]
    assert "split" not in parsed.cases["pipeline__sound"]["tasks"]


def test_a_file_schedule_is_an_asset_that_the_triggerer_watches(parsed: Parsed) -> None:
    dag = parsed.cases["pipeline__waits_for_file"]
    assert "arrivals:waits_for_file" in dag["schedule"]
    assert "in/*.csv" in dag["doc"]
    (watcher,) = _watchers(dag["serialised"])
    assert watcher["trigger"]["classpath"] == "data_workbench.provider.triggers.FileArrivalTrigger"
    assert watcher["trigger"]["kwargs"] == {
        "pipeline": "waits_for_file",
        "connection_id": "workbench_files",
        "pattern": "in/*.csv",
        "every": 10.0,
    }


def test_a_topic_schedule_is_an_asset_that_the_triggerer_listens_for(parsed: Parsed) -> None:
    dag = parsed.cases["pipeline__waits_for_topic"]
    assert "messages:waits_for_topic" in dag["schedule"]
    (watcher,) = _watchers(dag["serialised"])
    assert watcher["trigger"]["classpath"] == "data_workbench.provider.topics.TopicTrigger"
    assert watcher["trigger"]["kwargs"] == {
        "pipeline": "waits_for_topic",
        "connection_id": "events",
        "topic": "orders",
        "every": 5.0,
        "params": '{"batch": {"field": "order.batch", "type": "integer"}}',
    }


def _watchers(value: Any) -> list[dict[str, Any]]:
    """Every watcher anywhere in a serialised DAG."""
    if isinstance(value, list):
        return [one for item in value for one in _watchers(item)]
    if not isinstance(value, dict):
        return []
    return [*value.get("watchers", []), *(one for item in value.values() for one in _watchers(item))]


def test_params_become_a_form(parsed: Parsed) -> None:
    params = parsed.cases["pipeline__asks"]["params"]
    assert params["project_id"]["type"] == ["null", "string"]
    assert params["project_id"]["format"] == "uuid"
    assert params["project_id"]["default"] is None
    assert params["since"]["type"] == "string"
    assert params["mode"] == {"default": "fast", "type": "string", "enum": ["fast", "exact"], "maxLength": 10_000}
    assert params["many"]["enum"] == [None, 1, 2]


def test_options_of_a_run_stand_beside_and_give_way_to_own_params(parsed: Parsed) -> None:
    params = parsed.cases["pipeline__asks"]["params"]
    assert params["limit"]["type"] == ["null", "string"]
    assert params["full_refresh"]["type"] == "boolean"
    assert params["allow"]["items"] == {"enum": ["replace", "columns", "key", "model", "all"]}
    assert {"requested_by", "correlation_id"} <= set(params)


def test_partitions_have_a_backfill_of_their_own_and_a_schedule_that_catches_up(parsed: Parsed) -> None:
    dag, backfill = parsed.cases["pipeline__by_day"], parsed.cases["backfill__by_day"]
    assert dag["catchup"] is True
    assert dag["serialised"]["dag"]["start_date"] == datetime(2026, 1, 2, tzinfo=UTC).timestamp()
    assert "CronTriggerTimetable" in str(dag["serialised"]["dag"]["timetable"])
    assert list(backfill["tasks"]) == ["finish", "prepare", "work"]
    assert (backfill["schedule"], backfill["tags"]) == ("None", ["backfill"])
    assert set(backfill["params"]) == {
        *("colour", "from", "to", "only", "parallel", "retry_failed"),
        *("requested_by", "correlation_id", "idempotency_key"),
    }
    assert "exactly once" in backfill["doc"]


def test_a_deadline_is_airflows_and_calls_ours(parsed: Parsed) -> None:
    assert "data_workbench.provider.deadlines.tell" in str(parsed.cases["pipeline__by_day"]["serialised"])
    assert "deadlines.tell" not in str(parsed.cases["pipeline__crons"]["serialised"])


def test_schedules_by_several_crons_a_clock_and_a_timetable(parsed: Parsed) -> None:
    found = {name: str(parsed.cases[f"pipeline__{name}"]["serialised"]) for name in ("crons", "clock", "table")}
    assert "MultipleCronTriggerTimetable" in found["crons"]
    assert "Europe/Berlin" in found["crons"]
    assert "DeltaTriggerTimetable" in found["clock"]
    assert "5400.0" in found["clock"]
    assert "5 4 * * *" in found["table"]
    assert "every 1:30:00" in parsed.cases["pipeline__clock"]["doc"]


def test_a_module_that_is_not_listed_is_not_even_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from data_workbench.language.schedules import TimetableSchedule
    from data_workbench.provider.timetables import _made

    text = "from airflow.sdk.bases.timetable import BaseTimetable\nclass Ours(BaseTimetable):\n    pass\n"
    (tmp_path / "site_times.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    given = TimetableSchedule(timetable="site_times:Ours")
    with pytest.raises(ValueError, match="neither Airflow's nor listed"):
        _made(given)
    assert "site_times" not in sys.modules
    monkeypatch.setenv("WORKBENCH_PYTHON_MODULES", "other:site_times")
    assert type(_made(given)).__name__ == "Ours"


def test_a_project_file_among_the_pipelines_is_no_dag(tmp_path: Path) -> None:
    from data_workbench.provider.dag_factory import _files

    for name in ("a.yaml", "b.template.yaml", "c.rules.yaml", "a.test.yaml", "workbench.yaml"):
        (tmp_path / name).write_text("version: 1\n")
    assert [path.name for path in _files(tmp_path, None, (tmp_path / "workbench.yaml").resolve())] == ["a.yaml"]
