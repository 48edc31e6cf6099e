"""When a pipeline runs by itself. Nothing slow is imported here: the DAG loader reads these models, too."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from data_workbench.records.definitions import MOST_COLUMNS, Duration, Mistake, Model, Name, Text, as_list

_LEAST, _MOST = timedelta(minutes=1), timedelta(days=366)


class CronSchedule(Model):
    """Run at the times of one cron text, or of several, in a time zone."""

    cron: Annotated[list[Text], BeforeValidator(as_list), Field(min_length=1, max_length=MOST_COLUMNS)] = Field(
        description="A cron text, or a list of them"
    )
    timezone: Text = Field("UTC", description="Name of a time zone, such as Europe/Berlin")


class ClockSchedule(Model):
    """Run again and again with the same time between."""

    every: Duration = Field(description="The time between two runs: 1m to 366d")

    @model_validator(mode="after")
    def _within(self) -> ClockSchedule:
        if not _LEAST <= self.every <= _MOST:
            raise Mistake("every is between 1m and 366d", at="every", hint='schedule: "@continuous" never waits')
        return self


class TimetableSchedule(Model):
    """Run by an Airflow timetable: one of Airflow's, or a site's own that a plugin registers."""

    timetable: Annotated[str, StringConstraints(pattern=r"^[A-Z_a-z]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")] = Field(
        description="Its class, as package.module:Class"
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="What it is made with")


class DatasetSchedule(Model):
    """Run when a dataset (Airflow asset) was updated."""

    dataset: Text | list[Text] = Field(description="Dataset (asset) names; with several, all must be updated")


class AliasSchedule(Model):
    """Run when a dataset was updated that is named while another DAG runs: an Airflow asset under an asset alias."""

    alias: Text | list[Text] = Field(description="Alias names; with several, something under each must be updated")


class FileSchedule(Model):
    """Run when a file is new or has changed."""

    file: Text = Field(description="Path or pattern to watch, below the connection's root")
    connection: Text | None = Field(
        None, description="Connection of the files; that of the source that reads them if left out"
    )
    every: Duration = Field(timedelta(seconds=30), description="How often to look: 1s to 1d")

    @model_validator(mode="after")
    def _not_too_often(self) -> FileSchedule:
        if not timedelta(seconds=1) <= self.every <= timedelta(days=1):
            raise Mistake("every is between 1s and 1d", at="every", hint="30s is usual; leave it out for that")
        return self


class TopicSchedule(Model):
    """Run when messages have come on a topic, once for all that one look finds."""

    topic: Text = Field(description="Kafka topic to listen to")
    connection: str = Field("", max_length=200, description="Connection id of the broker; needed")
    params: dict[Name, Text] = Field(
        default_factory=dict, description="param: the field of a JSON message that gives it, below others by dots"
    )
    every: Duration = Field(timedelta(seconds=5), description="How long a look takes: 1s to 5m")

    @model_validator(mode="after")
    def _names_its_broker(self) -> TopicSchedule:
        if not self.connection:
            raise Mistake(f"topic {self.topic!r} has no broker", at="topic", hint="add connection: ID")
        if not timedelta(seconds=1) <= self.every <= timedelta(minutes=5):
            raise Mistake("every is between 1s and 5m", at="every", hint="5s is usual; leave it out for that")
        return self


Schedule = (
    str
    | CronSchedule
    | ClockSchedule
    | TimetableSchedule
    | DatasetSchedule
    | AliasSchedule
    | FileSchedule
    | TopicSchedule
    | None
)
"""Everything `schedule` may be; a text is a cron text or a preset."""
