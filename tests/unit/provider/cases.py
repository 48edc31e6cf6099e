"""Pipeline files, sound and broken, for the loader's tests."""

from __future__ import annotations

_REST = """
sources:
  rows: {{connection: odras_postgres, stream: public.things, key: [id]}}
destinations:
  out: {{connection: workbench_files, file: {name}.parquet, write: replace}}
"""


def _pipeline(name: str, head: str = "schedule: null") -> str:
    return f"version: 1\npipeline: {name}\n{head}\n" + _REST.format(name=name)


CASES = {
    "sound.yaml": _pipeline("sound", "description: All is well. And more.\nowner: somebody\ntags: [mine]"),
    "other_name.yml": _pipeline("renamed"),
    "typing_error.yaml": _pipeline("typing_error").replace("sources:", "sourcse:"),
    "not-yaml.yaml": "version: 1\npipeline: [\n",
    "bad_cron.yaml": _pipeline("bad_cron", 'schedule: "61 25 * * *"'),
    "bad_full.yaml": _pipeline("bad_full", 'reconcile: {full: "every day"}'),
    "needs_param.yaml": _pipeline("needs_param", 'schedule: "@daily"\nparams: {who: {required: true}}'),
    "twice.yaml": _pipeline("sound"),
    "waits_for_alias.yaml": _pipeline("waits_for_alias", "schedule: {alias: whatever_changed}"),
    "waits.yaml": _pipeline("waits", "schedule: {dataset: ['odras_postgres:public.flights', handmade]}"),
    "waits_for_file.yaml": _pipeline(
        "waits_for_file", "schedule: {file: 'in/*.csv', connection: workbench_files, every: 10s}"
    ),
    "whose_files.yaml": _pipeline("whose_files", "schedule: {file: 'in/*.csv'}"),
    "waits_for_topic.yaml": _pipeline(
        "waits_for_topic",
        "schedule: {topic: orders, connection: events, params: {batch: order.batch}}\nparams: {batch: {type: integer}}",
    ),
    "by_day.yaml": _pipeline(
        "by_day",
        """schedule: "0 1 * * *"
catchup: true
deadline: 30m
params:
  since: {type: timestamp, required: true}
  until: {type: timestamp, required: true}
  colour: {type: text}
partitions: {grain: day, from: since, to: until, start: 2026-01-01}""",
    ).replace("write: replace", "write: append"),
    "crons.yaml": _pipeline("crons", 'schedule: {cron: ["0 8 * * *", "0 12 * * 6"], timezone: Europe/Berlin}'),
    "clock.yaml": _pipeline("clock", "schedule: {every: 90m}"),
    "table.yaml": _pipeline(
        "table",
        "schedule: {timetable: 'airflow.sdk:CronTriggerTimetable', arguments: {cron: '5 4 * * *', timezone: UTC}}",
    ),
    "no_table.yaml": _pipeline("no_table", "schedule: {timetable: 'airflow.sdk:DAG'}"),
    "own_table.yaml": _pipeline("own_table", "schedule: {timetable: 'this:s'}"),
    "bad_table.yaml": _pipeline("bad_table", "schedule: {timetable: 'airflow.sdk:CronTriggerTimetable'}"),
    "ranged.yaml": _pipeline("ranged").replace("key: [id]", "key: [id], ranges: 4"),
    "always.yaml": _pipeline("always", 'schedule: "@continuous"'),
    "asks.yaml": _pipeline(
        "asks",
        """params:
  project_id: {type: uuid, description: Only this project}
  since: {type: date, required: true}
  mode: {type: text, values: [fast, exact], default: fast}
  many: {type: integer, values: [1, 2]}
  limit: {type: text}""",
    ),
    "notes.txt": "not a pipeline",
}
