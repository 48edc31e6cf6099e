"""A load that tells the journal every key, against the same load that tells it nothing."""

from __future__ import annotations

import os

from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, Ran, in_turns
from tests.bench.loading import PIPELINE, prepare

SILENT = PIPELINE.replace("version: 1", "version: 1\njournal: none")


def measure(ground: Ground) -> list[Figure]:
    """Both until the last commit, and with the comparison that gives the journal its hashes."""
    prepare(ground, ground.rows)
    merged = PIPELINE.replace("write: append", "write: merge"), SILENT.replace("write: append", "write: merge")
    told, silent = in_turns(ground.rounds, lambda: _run(ground, merged[0]), lambda: _run(ground, merged[1]))
    ground.sql("DROP TABLE mixed_loaded")
    moved, without = (middle([one.moved for one in runs]) for runs in (told, silent))
    whole, whole_without = (middle([one.document["seconds"] for one in runs]) for runs in (told, silent))
    details = {
        "rows": ground.rows,
        "seconds": moved,
        "peer": "the same pipeline with `journal: none`",
        "peer_seconds": without,
        "samples": [one.moved for one in told],
        "peer_samples": [one.moved for one in silent],
        "load": round(os.getloadavg()[0], 2),
    }
    what = "journal: speed of a load that tells every key, beside one that tells none"
    samples = {
        "samples": [one.document["seconds"] for one in told],
        "peer_samples": [one.document["seconds"] for one in silent],
    }
    beside = {**details, **samples, "seconds": whole, "peer_seconds": whole_without}
    return [
        Figure("journal", what, without / moved, 0.95, details=details),
        Figure("journal_whole", "  the whole run, comparison and hashes", whole_without / whole, 0.95, details=beside),
    ]


def _run(ground: Ground, pipeline: str) -> Ran:
    ground.say("bench_load, merged")
    ground.sql("DROP TABLE IF EXISTS mixed_loaded; DROP SCHEMA IF EXISTS _workbench CASCADE; CHECKPOINT")
    return ground.run("bench_load", pipeline, part_rows=100_000)
