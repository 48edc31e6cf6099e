"""Some golden cases on the Spark that the command line names, in a process of their own: one has one Spark."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from tests.golden.bench import Bench, SharedEngine, run
from tests.golden.cases import check, load_cases

from data_workbench.transforms.spark.engine import spark_opener
from data_workbench.transforms.spark.session import SparkTarget

CHOSEN = (
    "a filter that cannot be computed sets the row aside",
    "an inner join keeps rows with a match, once for each",
    "unnest reads a JSON array",
    "an argument that cannot be computed sets its row aside, the group goes on without it",
    "rollup adds totals of totals",
    "parse converts a quantity",
    "a function may give more rows than it takes",
    "a change of what is tracked begins a version",
)


def main(master: str, folder: Path) -> None:
    """Run the cases; whatever differs ends the process."""
    options = {"spark.sql.shuffle.partitions": "2", "spark.executor.memory": "512m", "spark.driver.memory": "512m"}
    engine = SharedEngine()
    bench = Bench(folder, opener=engine, runner=spark_opener(SparkTarget(master, options)))
    bench.settings = replace(bench.settings, python_modules="tests.golden", home=folder)
    cases = {case.name: case for case in load_cases()}
    for name in CHOSEN:
        check(cases[name], run(cases[name], bench, engine))
        print("as written:", name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
