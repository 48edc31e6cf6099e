"""`anomalies`: what is unusual in the history of datasets, and what of it was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.metastore.anomalies import Unusual


@command(root, "anomalies")
@click.argument("dataset", required=False)
@click.option("--expected", metavar="METRIC", help="Call the newest unusual value of METRIC or COLUMN.METRIC expected.")
@click.option("--days", type=click.FloatRange(min=0), default=30.0, help="How far to look back; 30 by default.")
def anomalies_command(dataset: str | None, expected: str | None, days: float, as_json: bool) -> None:
    """Unusual values of metrics: volume, freshness, nulls, distinct values, distributions, schema, graph, vectors."""
    from datetime import UTC, datetime, timedelta

    from data_workbench.metastore import anomalies, quality_metrics
    from data_workbench.metastore.audit import Author
    from data_workbench.quality.keeping import drift

    with Session().metastore as metastore:
        since = datetime.now(UTC) - timedelta(days=days)
        found = anomalies.latest(metastore, dataset=dataset, since=since)
        if expected is not None:
            meant = next((one for one in found if expected in (one.name, f"{one.column}.{one.name}")), None)
            if dataset is None or meant is None:
                hint = "`workbench anomalies DATASET` lists them" if dataset else "name the dataset, too"
                raise UsageError(f"no unusual value of {expected!r} is known", hint=hint)
            anomalies.expect(metastore, dataset, meant.column, meant.name, meant.measured, Author.of_process())
            found = anomalies.latest(metastore, dataset=dataset, since=since)
        names = [dataset] if dataset else quality_metrics.datasets(metastore)
        changes = [{"dataset": name, **one} for name in names for one in drift(metastore, name)]
    if as_json:
        say_json({"anomalies": [vars(one) for one in found], "changes": changes})
        return
    rows = [
        (
            one.dataset,
            one.column,
            one.name,
            f"{one.measured:%Y-%m-%d %H:%M}",
            f"{one.value:,.6g}",
            _range(one),
            one.driver,
        )
        for one in found
    ]
    head = ("dataset", "column", "metric", "measured", "value", "expected", "driven by")
    say_table(head, rows, title="unusual values")
    moved = [(one["dataset"], one["column"], one["what"], str(one["before"]), str(one["now"])) for one in changes]
    if moved:
        say_table(("dataset", "column", "what", "before", "now"), moved, title="between the last two profiles")


def _range(one: Unusual) -> str:
    told = f"{one.low:,.6g} to {one.high:,.6g}"
    return f"{told}; {one.expected_by} expected it" if one.expected_by else told
