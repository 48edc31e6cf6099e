from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest

from data_workbench.errors import UsageError
from odras_demo.seed import planted_faults, seed
from odras_demo.seed.documents import uploads
from odras_demo.seed.events import events
from odras_demo.seed.loading import rows
from odras_demo.seed.organisation import PROJECTS
from odras_demo.seed.recipe import BEGIN, PERIOD, Recipe
from odras_demo.seed.requirements import requirements

Table = tuple[str, tuple[str, ...], list[tuple[object, ...]]]


def _all_rows() -> list[Table]:
    return [(part.table, part.columns, list(part.rows)) for part in rows(Recipe())]


@pytest.fixture(scope="module")
def written() -> list[Table]:
    return _all_rows()


@pytest.mark.slow
def test_two_seedings_with_one_seed_make_the_same_rows(written: list[Table]) -> None:
    assert written == _all_rows()


def test_another_seed_gives_other_identifiers_and_the_same_number_of_requirements() -> None:
    ours, theirs = (list(requirements(Recipe(random_seed=number))) for number in (7, 8))
    assert len(ours) == len(theirs) == 300
    assert not {item.requirement_id for item in ours} & {item.requirement_id for item in theirs}


@pytest.mark.slow
def test_every_row_fits_its_columns_and_no_identifier_is_used_twice_in_a_table(written: list[Table]) -> None:
    keys: Counter[tuple[str, object]] = Counter()
    for table, columns, content in written:
        for row in content:
            assert len(row) == len(columns), table
            if columns[0].endswith("_id") or columns[0] == "id":
                is_membership = table in {"tenant_members", "project_members"}
                keys[table, row[:2] if is_membership else str(row[0])] += 1
    assert [key for key, times in keys.items() if times > 1] == []


def test_a_larger_size_grows_in_proportion_and_says_nothing_twice() -> None:
    recipe = Recipe(size=3)
    wanted = list(requirements(recipe))
    assert len(wanted) == 900
    assert len({item.requirement_id for item in wanted}) == 900
    texts = [upload.text(passage) for upload in uploads(recipe) for passage in upload.passages if upload.volume]
    first = {upload.text(passage) for upload in uploads(Recipe()) for passage in upload.passages}
    assert not first & set(texts)


def test_a_requirement_stands_below_one_of_its_own_project_that_came_before() -> None:
    seen: dict[UUID, str] = {}
    below = 0
    for item in requirements(Recipe(size=2)):
        if item.parent is not None:
            assert seen[item.parent] == item.project.key
            below += 1
        seen[item.requirement_id] = item.project.key
    assert below > 400


def test_a_parent_project_never_lies_deeper_than_its_child() -> None:
    level = {project.key: project.level for project in PROJECTS}
    assert all(level[project.parent] < project.level for project in PROJECTS if project.parent)


@pytest.mark.slow
def test_the_log_has_exactly_the_events_asked_for_and_the_known_noise() -> None:
    log = list(events(Recipe()))
    assert len(log) == 20_000
    told = Counter(row[2] for row in log if row[2] in {"pending", "unknown"})
    assert told["pending"] > 100
    assert told["unknown"] > 500
    assert all(BEGIN <= row[-1] <= BEGIN + PERIOD for row in log if isinstance(row[-1], datetime))


@pytest.mark.slow
def test_no_time_lies_in_the_future(written: list[Table]) -> None:
    now = datetime.now(UTC)
    for table, _, content in written:
        for row in content:
            later = [value for value in row if isinstance(value, datetime) and value.tzinfo and value > now]
            assert not later, table


def test_each_of_the_ten_rules_and_the_contracts_have_planted_faults() -> None:
    found = planted_faults()
    assert {fault.rule for fault in found} == set(range(11))
    assert len({(fault.table, fault.key) for fault in found}) == len(found)
    assert found == planted_faults()


def test_a_size_below_one_is_refused_before_anything_is_connected() -> None:
    with pytest.raises(UsageError, match="size is 0"):
        seed("host=nowhere.invalid", size=0)
