"""A run, a plan and a reconciliation as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from data_workbench.cli.answer import say_table
from data_workbench.records.marks import PREFIX


def say_run(document: Mapping[str, Any]) -> None:
    """Counts of every source, step and destination, then the verdict."""
    if not document:
        return
    click.echo(f"{document['pipeline']}: {document['state']} in {document['seconds']} s, run {document['run_id']}")
    _counts("source", document["sources"])
    _counts("step", document["steps"])
    if document.get("pushed_down"):
        click.echo("PostgreSQL computed the steps: no row left it")
    elif document.get("not_pushed_down"):
        click.echo(f"PostgreSQL did not compute the steps: {document['not_pushed_down']}")
    _counts("destination", document["destinations"], leave_out=("relationships",))
    related = {name: item["relationships"] for name, item in document["destinations"].items() if item["relationships"]}
    _counts("relationships", related)
    if document["reconciliation"]:
        say_reconciliation(document["reconciliation"])
    if document.get("checks"):
        say_checks(document["checks"])


def _counts(what: str, rows: Mapping[str, Mapping[str, Any]], *, leave_out: tuple[str, ...] = ()) -> None:
    if not rows:
        return
    columns = [name for name in next(iter(rows.values())) if name not in leave_out]
    click.echo()
    say_table((what, *columns), [(name, *(row.get(column) for column in columns)) for name, row in rows.items()])


def say_reconciliation(document: Mapping[str, Any]) -> None:
    """What differs, per destination, and whether all agree."""
    rows = []
    for name, counts in document["destinations"].items():
        relationships, vectors = counts["relationships"] or {}, counts["vectors"] or {}
        rows.append(
            (
                name,
                *(counts[column] for column in ("missing", "surplus", "stale", "foreign", "repaired")),
                relationships.get("missing"),
                relationships.get("dangling"),
                vectors.get("wrong_model"),
                vectors.get("stale"),
            )
        )
    columns = ("missing", "surplus", "stale", "foreign", "repaired", "rel. missing", "rel. dangling")
    click.echo()
    say_table((f"compared ({document['scope']})", *columns, "wrong model", "stale vector"), rows)
    click.echo("the stores agree" if document["clean"] else "the stores DIFFER")
    for target in document.get("not_compared", ()):
        click.echo(f"not compared: {target} (rows appended without a key cannot be told apart)")


def say_checks(found: Sequence[Mapping[str, Any]]) -> None:
    """What the contracts say of what stands in the stores."""
    columns = ("dataset", "check", "outcome", "rows", "failing", "keys")
    click.echo()
    rows = [(c["dataset"], c["name"], c["outcome"], c["rows"], c["failing"], _keys(c["sample"])) for c in found]
    say_table(columns, rows, title="contracts on what stands in the stores")
    for reason in dict.fromkeys(f"{c['dataset']}: {c['reason']}" for c in found if c["reason"]):
        click.echo(f"not evaluated: {reason}")
    for one in found:
        if one.get("finder"):
            click.echo(f"{one['dataset']}: {one['name']}: {one['finder']}")


def _keys(sample: Sequence[Mapping[str, Any]]) -> str:
    plain = ({name: value for name, value in key.items() if not name.startswith(PREFIX)} for key in sample)
    return "; ".join(", ".join(map(str, key.values())) for key in plain)


def outcomes(found: Sequence[Mapping[str, Any]] | None) -> str:
    """How many checks passed, warned, failed and were not evaluated, in words; a dash for none."""
    counted = Counter(one["outcome"] for one in found or ())
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counted.items()) or "–"


def say_plan(document: Mapping[str, Any]) -> None:
    """What is read, done, written and changed."""
    click.echo(f"pipeline {document['pipeline']}\n")
    say_table(
        ("source", "stream", "read", "key", "columns"),
        [
            (name, item["stream"], item["mode"], ", ".join(item["key"] or ()), len(item["columns"] or ()))
            for name, item in document["sources"].items()
        ],
    )
    for name, item in document["sources"].items():
        if item.get("full_reason"):
            click.echo(f"  {name} is read in full: {item['full_reason']}")
    if document["steps"]:
        click.echo()
        rows = [
            (name, item["verb"], ", ".join(item["inputs"]), len(item["columns"] or ()))
            for name, item in document["steps"].items()
        ]
        say_table(("step", "verb", "inputs", "columns"), rows)
    click.echo()
    targets = [
        (name, target["target"], target["input"], item["write"], item["replace"] or "–")
        for name, item in document["destinations"].items()
        for target in item["targets"]
    ]
    say_table(("destination", "target", "input", "write", "replace is"), targets)
    if document.get("pushed_down"):
        click.echo("PostgreSQL computes the steps: no row leaves it")
    elif document["steps"] and document.get("not_pushed_down"):
        click.echo(f"PostgreSQL does not compute the steps: {document['not_pushed_down']}")
    if document["changes"]:
        click.echo()
        changes = [(c["destination"], c["action"], c["object"], c["detail"]) for c in document["changes"]]
        say_table(("destination", "change", "object", "detail"), changes)
    for step, found in (document.get("inverses") or {}).items():
        gone = "; ".join(f"{column} ({reason})" for column, reason in found["lost"].items())
        click.echo(f"mapping {step}: " + ("can be inverted" if found["invertible"] else f"cannot be inverted: {gone}"))
    downstream = document.get("downstream") or {}
    for one in downstream.get("pipelines") or ():
        for reader in one["reads"]:
            broken = f"breaks: {', '.join(reader['missing'])} not written" if reader["missing"] else "has all it names"
            click.echo(f"read by {one['pipeline']} ({reader['reads']} of {reader['dataset']}): {broken}")
    for lost in downstream.get("dropped") or ():
        told = ", ".join(f"{one['name']}.{one['field']}" for one in lost["columns"][:10]) or "no column known"
        click.echo(f"not written any more: {lost['name']}.{lost['field']}, of which is made: {told}")
    for change in document["destructive"] or ():
        click.echo(f"destroys ({change['effect']}): {change['destination']}: {change['object']}: {change['detail']}")
    if document["allow"]:
        click.echo(f"a run is refused without --allow {','.join(document['allow'])}")
