"""What a demo came to: one line per pipeline, where to look, and why if something failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from data_workbench.provider.report import as_table

STORES: Mapping[str, str] = {
    "postgres": "PostgreSQL",
    "neo4j": "Neo4j",
    "qdrant": "Qdrant",
    "workbench_files": "files",
}
"""Columns of the table by connection type."""


@dataclass(frozen=True)
class PipelineOutcome:
    """One pipeline's run in numbers; what was not measured is None."""

    pipeline: str
    run_id: str
    state: str
    read: int | None = None
    written: Mapping[str, int] = field(default_factory=dict)
    """Rows that stand in each store because of this run: inserted, updated, or found as they should be."""
    relationships: int | None = None
    changed: int | None = None
    """How many of them had to be inserted, updated or deleted."""
    filtered: int | None = None
    quarantined: int | None = None
    clean: bool | None = None
    seconds: float | None = None
    reason: str | None = None
    """Why it failed."""

    @property
    def verdict(self) -> str:
        """The reconciliation in one word."""
        return {True: "clean", False: "differs", None: "–"}[self.clean]

    @property
    def rows_per_second(self) -> int | None:
        """Rows read by the seconds of the whole run."""
        return int(self.read / self.seconds) if self.read is not None and self.seconds else None


@dataclass(frozen=True)
class DemoOutcome:
    """Everything the demo's end says."""

    pipelines: Sequence[PipelineOutcome]
    seconds: float
    url: str | None = None
    user: str | None = None
    password: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether all pipelines ran, and brought something."""
        return all(one.state == "success" for one in self.pipelines)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        rows = [{**asdict(one), "rows_per_second": one.rows_per_second} for one in self.pipelines]
        airflow = {"url": self.url, "user": self.user, "password": self.password} if self.url else None
        return {"succeeded": self.succeeded, "seconds": round(self.seconds, 1), "pipelines": rows, "airflow": airflow}

    def say(self, _say_table: Callable[..., None], echo: Callable[[str], None]) -> None:
        """The table, then where to look, or why it failed.

        Plain text: thirteen columns would be folded into a terminal's eighty characters, and then nobody reads them.
        """
        echo("")
        echo(as_table("pipeline", {one.pipeline: _line(one) for one in self.pipelines}))
        echo("")
        for one in self.pipelines:
            if one.reason:
                echo(f"{one.pipeline} {one.state}: {one.reason}\n")
        if self.url:
            echo(f"Airflow:  {self.url}   user {self.user}   password {self.password}")
        echo("Stores:   workbench status      Connections: workbench env      Stop everything: make down")


def from_document(document: Mapping[str, Any], kinds: Mapping[str, str]) -> PipelineOutcome:
    """Read a run's public document.

    Args:
        kinds: connection type of each destination.
    """
    sources, steps = document["sources"].values(), document["steps"].values()
    destinations = document["destinations"]
    written: dict[str, int] = {}
    for name, counts in destinations.items():
        written[kinds[name]] = written.get(kinds[name], 0) + _standing(counts)
    related = [counts["relationships"] for counts in destinations.values() if counts.get("relationships")]
    everything = [*destinations.values(), *related]
    return PipelineOutcome(
        pipeline=document["pipeline"],
        run_id=document["run_id"],
        state=document["state"],
        read=_sum(sources, "read"),
        written=written,
        relationships=sum(_standing(counts) for counts in related) if related else None,
        changed=sum(_sum(everything, name) or 0 for name in ("inserted", "updated", "deleted")),
        filtered=_sum(steps, "filtered"),
        quarantined=_total([*sources, *steps], "quarantined") + _total([*everything], "rejected"),
        clean=(document.get("reconciliation") or {}).get("clean"),
        seconds=document["seconds"],
    )


def _standing(counts: Mapping[str, Any]) -> int:
    return sum(counts.get(name) or 0 for name in ("inserted", "updated", "unchanged"))


def _total(counts: Any, name: str) -> int:
    return _sum(counts, name) or 0


def _sum(counts: Any, name: str) -> int | None:
    found = [one[name] for one in counts if one.get(name) is not None]
    return sum(found) if found else None


def _line(one: PipelineOutcome) -> dict[str, Any]:
    stores: dict[str, Any] = {title: one.written.get(kind) for kind, title in STORES.items()}
    if one.relationships is not None:
        stores["Neo4j"] = f"{one.written.get('neo4j', 0):,} + {one.relationships:,} rel."
    return {
        "state": one.state,
        "read": one.read,
        **stores,
        "changed": one.changed,
        "filtered": one.filtered,
        "quarantined": one.quarantined,
        "reconciliation": one.verdict,
        "seconds": round(one.seconds, 1) if one.seconds is not None else None,
        "rows/s": one.rows_per_second,
    }
