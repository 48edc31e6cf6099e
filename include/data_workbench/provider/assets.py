"""What a destination writes, as Airflow assets: other pipelines wait for them by `schedule: {dataset: NAME}`.

The name is `connection:dataset`: a table, a label, `[:TYPE]`, a collection, a file. The URI is made of the same words
and of nothing that a connection holds, so parsing asks nobody and a moved server stays the same asset.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from data_workbench.pipelines.arrivals import watched_connection

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from data_workbench.language.spec import Pipeline


def arrivals_of(spec: Pipeline) -> Asset:
    """The asset that a pipeline's file schedule waits for, with what watches the files; it belongs to this pipeline."""
    from airflow.sdk import Asset, AssetWatcher

    from data_workbench.language.schedules import FileSchedule
    from data_workbench.provider.triggers import FileArrivalTrigger

    schedule = spec.schedule
    assert isinstance(schedule, FileSchedule)
    trigger = FileArrivalTrigger(
        pipeline=spec.pipeline,
        connection_id=watched_connection(spec),
        pattern=schedule.file,
        every=schedule.every.total_seconds(),
    )
    watcher = AssetWatcher(name=f"files_of_{spec.pipeline}", trigger=trigger)
    return Asset(name=f"arrivals:{spec.pipeline}", uri=f"workbench://arrivals/{spec.pipeline}", watchers=[watcher])


def messages_of(spec: Pipeline) -> Asset:
    """The asset that a pipeline's topic schedule waits for, with what listens to the topic; it is this pipeline's."""
    from airflow.sdk import Asset, AssetWatcher

    from data_workbench.language.schedules import TopicSchedule
    from data_workbench.provider.topics import TopicTrigger

    schedule = spec.schedule
    assert isinstance(schedule, TopicSchedule)
    fields = {name: {"field": one, "type": spec.params[name].type} for name, one in schedule.params.items()}
    trigger = TopicTrigger(
        pipeline=spec.pipeline,
        connection_id=schedule.connection,
        topic=schedule.topic,
        every=schedule.every.total_seconds(),
        params=json.dumps(fields, sort_keys=True),
    )
    watcher = AssetWatcher(name=f"messages_of_{spec.pipeline}", trigger=trigger)
    return Asset(name=messages_name(spec), uri=f"workbench://messages/{spec.pipeline}", watchers=[watcher])


def messages_name(spec: Pipeline) -> str:
    """The name of that asset."""
    return f"messages:{spec.pipeline}"


def asset_of(name: str) -> Asset:
    """The asset of a dataset's name."""
    from airflow.sdk import Asset

    connection, separator, dataset = name.rpartition(":") if "://" in name else name.partition(":")
    if "://" not in name and dataset.startswith("[:"):
        dataset = f"relationships/{dataset[2:-1]}"
    place = f"{quote(connection, safe='')}/{quote(dataset)}" if separator else quote(name, safe="")
    return Asset(name=name, uri=f"workbench://{place}")
