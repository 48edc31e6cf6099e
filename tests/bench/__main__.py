"""`python -m tests.bench`: measure, print a table, write docs/bench/results.json and the page made of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench import (
    archives,
    backups,
    csv_files,
    files,
    flat,
    graph,
    incremental,
    journal,
    lineage,
    loading,
    parsing,
    performance,
    profiles,
    pushing,
    quality,
    quarantine,
    ranges,
    recovery,
    report,
    scheduler,
    startup,
    steps,
    tables,
    vectors,
)
from tests.bench.figures import Figure
from tests.bench.ground import Ground, open_ground

SUBJECTS: Mapping[str, tuple[Callable[[Ground], list[Figure]], tuple[str, ...]]] = {
    "parquet": (files.measure, ("postgres",)),
    "ranges": (ranges.measure, ("postgres",)),
    "incremental": (incremental.measure, ("postgres",)),
    "tables": (tables.measure, ("postgres",)),
    "load": (loading.measure, ("postgres",)),
    "journal": (journal.measure, ("postgres",)),
    "csv": (csv_files.measure, ("postgres",)),
    "steps": (steps.measure, ("postgres",)),
    "growth": (steps.measure_growth, ("postgres",)),
    "pushed": (pushing.measure, ("postgres",)),
    "graph": (graph.measure, ("postgres", "neo4j")),
    "overhead": (startup.measure, ("postgres", "neo4j", "qdrant")),
    "parse": (parsing.measure, ("postgres",)),
    "vectors": (vectors.measure, ("postgres", "qdrant")),
    "airflow": (scheduler.measure, ("postgres",)),
    "quarantine": (quarantine.measure, ("postgres",)),
    "backup": (backups.measure, ("postgres", "neo4j", "qdrant")),
    "recovery": (recovery.measure, recovery.SERVERS),
    "archive": (archives.measure, ("postgres",)),
    "profile": (profiles.measure, ("postgres", "neo4j")),
    "quality": (quality.measure, ("postgres",)),
    "lineage": (lineage.measure, ("postgres",)),
    "flat": (flat.measure, ("postgres", "neo4j", "qdrant")),
}
"""What is measured and the servers it needs."""


def bench(
    names: Sequence[str], *, rows: int, rounds: int, csv_megabytes: int = 1, home: Path | None = None
) -> list[Figure]:
    """Measure these subjects on servers of their own."""
    services = list(dict.fromkeys(service for name in names for service in SUBJECTS[name][1]))
    with open_ground(rows=rows, rounds=rounds, services=services, csv_megabytes=csv_megabytes, home=home) as ground:
        return [figure for name in names for figure in SUBJECTS[name][0](ground)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell; 1 if a goal is not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the mixed table")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each measurement")
    parser.add_argument("--csv-megabytes", type=int, default=1024, help="size of the CSV file")
    parser.add_argument("--only", action="append", choices=list(SUBJECTS), help="one subject; may be repeated")
    parser.add_argument("--quick", action="store_true", help="5,000 rows, one round, no Airflow: does it work at all?")
    parser.add_argument("--keep", action="store_true", help="put the figures into docs/bench and docs/performance.md")
    given = parser.parse_args(arguments)
    names = given.only or [name for name in SUBJECTS if not (given.quick and name == "airflow")]
    rows, rounds, megabytes = (5_000, 1, 2) if given.quick else (given.rows, given.rounds, given.csv_megabytes)
    figures = bench(names, rows=rows, rounds=rounds, csv_megabytes=megabytes)
    told = report.document(figures, rows=rows, rounds=rounds)
    print(report.table(told["figures"]))
    if given.keep:
        report.keep(performance.RESULTS, told)
        performance.write()
    else:
        print(json.dumps(told, indent=1), file=sys.stderr)
    return 1 if any(figure.is_met is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
