"""Points of a key are told apart as Qdrant's own filter does: what that removes is what the set gives back."""

from __future__ import annotations

from typing import Any

import pytest

from data_workbench.backup.point_piece import has_key

CASES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"id": 7}, {"id": 7}, True),
    ({"id": 7}, {"id": "7"}, False),
    ({"id": 1}, {"id": True}, False),
    ({"id": True}, {"id": True}, True),
    ({"tags": ["a", "b"]}, {"tags": "b"}, True),
    ({"tags": [1, 2]}, {"tags": True}, False),
    ({"tags": []}, {"tags": "b"}, False),
    ({}, {"id": 7}, False),
    ({"id": 7, "of": "x"}, {"id": 7, "of": "x"}, True),
    ({"id": 7, "of": "y"}, {"id": 7, "of": "x"}, False),
]


@pytest.mark.parametrize(("payload", "key", "is_meant"), CASES)
def test_a_point_has_a_key(payload: dict[str, Any], key: dict[str, Any], is_meant: bool) -> None:
    assert has_key(payload, key) is is_meant
