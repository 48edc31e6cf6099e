"""When rows are past their time, and until when archives are kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.unit.archive.conftest import POLICY

from data_workbench.archive import Policy
from data_workbench.archive.policy import shifted
from data_workbench.archive.source import span_of
from data_workbench.errors import DefinitionError
from data_workbench.pipelines.archive_policies import load_policy
from data_workbench.pipelines.checks import lint_paths
from data_workbench.settings import Settings


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "period", "wanted"),
    [
        ("2024-02-29", "1y", "2023-02-28"),
        ("2024-03-31", "1mo", "2024-02-29"),
        ("2024-01-15", "13mo", "2022-12-15"),
        ("2024-03-01", "1d", "2024-02-29"),
        ("2024-03-14", "2w", "2024-02-29"),
    ],
)
def test_a_period_goes_by_the_calendar(moment: str, period: str, wanted: str) -> None:
    assert shifted(at(moment), period, back=True) == at(wanted)


def test_a_retention_beyond_the_calendar_is_its_end() -> None:
    assert shifted(at("2024-01-01"), "999y").year == 3023
    assert shifted(at("9000-01-01"), "1000y") == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("period", ["0d", "0y", "", "1", "1m", "-1d", "1.5y", "9999y", "1 y"])
def test_what_is_no_period_is_refused(period: str) -> None:
    with pytest.raises(ValidationError):
        Policy(**{**POLICY.model_dump(), "retention": period})


def test_without_a_retention_archives_are_kept_for_ever() -> None:
    assert Policy(**{**POLICY.model_dump(), "retention": None}).retained_until(at("2024-01-01")) is None
    assert POLICY.retained_until(at("2024-01-01")) == at("2031-01-01")


@pytest.mark.parametrize(
    ("label", "first", "after"),
    [
        ("2024", "2024-01-01", "2025-01-01"),
        ("2024-12", "2024-12-01", "2025-01-01"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        ("0001-01", "0001-01-01", "0001-02-01"),
    ],
)
def test_a_partition_is_a_span_of_time(label: str, first: str, after: str) -> None:
    assert span_of(label) == (at(first), at(after))


WRITTEN = """\
version: 1
archive: old_events
connection: site
dataset: public.events
where: state = 'closed'
age: {column: created_at, older_than: 1y}
partition: month
retention: 7y
batch_rows: 400
"""


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("older_than: 1y", "older_than: 365", "6:39: age.older_than: '365' is no period; write for example 90d"),
        ("7y", "7", "8:12: retention: '7' is no period; write for example 90d"),
        ("7y", "forever", "8:12: retention: 'forever' is no period; write for example 90d"),
        ("7y", "true", "8:12: 'retention' is true; it takes a text"),
        ("400", "100000000", "9:13: 'batch_rows' is 100000000; the most is 5000000"),
        ("400", "4\ncompression: {level: 22}", "10:22: 'compression.level' is 22; the most is 19"),
        ("month", "{column: at}", "7:1: 'partition' is a mapping (known are day, month, none, year)"),
        ("month", "", "'partition' is empty"),
        ("old_events", "old.events", "2:10: archive: 'old.events' is no name"),
        ("'closed'", "$state", "5:16: where: param $state is not declared (a policy has no params; write the value"),
        ("400", "4\n---\nversion: 1", "10:1: a second document begins here (put each into a file of its own)"),
    ],
)
def test_a_mistake_names_the_key_the_value_and_what_is_wanted(
    tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    path = tmp_path / "old_events.yaml"
    path.write_text(WRITTEN.replace(right, wrong))
    with pytest.raises(DefinitionError) as refused:
        load_policy(path, Settings())
    [found] = refused.value.findings
    hint = f" ({found.hint})" if found.hint else ""
    assert told in f"{found.line}:{found.column}: {found.message}{hint}"


def test_policies_are_linted_as_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "events.yaml").write_text(WRITTEN)
    assert lint_paths([tmp_path]) == ([], [])
    (tmp_path / "again.yaml").write_text(WRITTEN)
    (tmp_path / "nameless.yaml").write_text(WRITTEN.replace("archive:", "name:"))
    (tmp_path / "wrong.yaml").write_text(WRITTEN.replace("old_events", "others").replace("7y", "7"))
    told = [(Path(one.file).name, one.message) for one in lint_paths([tmp_path])[0]]
    assert told == [
        ("events.yaml", "policy 'old_events' stands in another file, too"),
        ("nameless.yaml", "'archive' is missing"),
        ("nameless.yaml", "unknown key 'name'"),
        ("wrong.yaml", "retention: '7' is no period; write for example 90d, 26w, 18mo or 7y"),
    ]


def test_all_that_is_shipped_beside_pipelines_is_without_mistakes() -> None:
    found, definitions = lint_paths([Path(__file__).parents[3] / "dags"])
    assert [str(one) for one in found] == []
    assert len(definitions) > 10
