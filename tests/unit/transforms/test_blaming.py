"""What is told of an aggregate or window that cannot be computed in a way that sets no row or group aside."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_workbench.errors import TransformError

if TYPE_CHECKING:
    from .conftest import Bench

MOST = Decimal("9" * 38)
ROWS = pa.table({"n": pa.array([MOST, MOST, Decimal(1)], pa.decimal128(38, 0)), "t": ["x", "1", "2"], "k": [1, 1, 1]})


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"aggregate": {"by": [], "take": {"c": "count(*)", "total": "sum(n)"}}}, 'aggregate total: SUM("n")'),
        ({"aggregate": {"by": ["k"], "take": {"m": "round(sum(n) / 2)"}}}, 'aggregate m: SUM("n")'),
        ({"pivot": {"by": "k", "on": "k", "values": {"one": "1"}, "take": "sum(n)"}}, 'pivot one: SUM("n") FILTER'),
        ({"window": {"take": {"c": "count(*)", "total": "sum(n)"}}}, 'window total: SUM("n")'),
    ],
)
def test_it_is_named_with_its_step(bench: Bench, step: dict[str, Any], told: str) -> None:
    with pytest.raises(TransformError) as caught:
        bench.run({"rows": ROWS}, [{"name": "sums", **step}])
    assert f"sums: {told}" in caught.value.message
    assert "cannot be computed: Out of Range Error" in caught.value.message


def test_it_is_named_too_where_rows_were_looked_at_one_by_one(bench: Bench) -> None:
    table = pa.concat_tables([ROWS, ROWS])
    step = {"name": "sums", "aggregate": {"by": [], "take": {"most": "max(t::integer)", "total": "sum(n)"}}}
    with pytest.raises(TransformError, match=r'sums: aggregate total: SUM\("n"\) cannot be computed'):
        bench.run({"rows": table}, [step])
