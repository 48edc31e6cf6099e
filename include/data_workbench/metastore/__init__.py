"""The workbench's own tables, in PostgreSQL: pipelines, runs, states of sources, quarantine, fingerprints.

Open a `Metastore`, then call the functions of the module that has the noun; each is one transaction:

    pipelines     what was defined, and when it was first and last seen
    runs          runs and how they end: `begin`, `find_unfinished`, `confirm`, `publish`, `finish`, …
    run_retention runs that ended long ago and that nobody needs any more
    stages        the stages of a run, their counts, measures and signs of life
    liveness      which running runs do not move, and why
    totals        what pipelines did in all
    tokens        scoped tokens for machines that ask
    locks         one run of a pipeline (or of a partition) at a time: `hold_run`
    backfills     a pipeline over its partitions, and how each of them stands
    states        where sources were read up to
    quarantine    rejected rows and what became of them
    deferred      relationships whose endpoint was not there yet
    fingerprints  stored vectors by hash
    backups       backup sets, and what verifying them found
    journal       what was written into stores, part by part
    lineage       events of OpenLineage, and the graph derived from them
    audit         who did what, when and why, in a chain of hashes

Read `database.py` first, then the tables in `tables/`, a module for each subject. The schema changes by the migrations
in `migrations` only (`workbench db upgrade`). Nothing here knows connectors: a `Metastore` is opened from a SQLAlchemy
URL.
"""

from data_workbench.metastore.database import Metastore, metastore_url
from data_workbench.metastore.locks import RunLock, fence, hold_alone, hold_run

__all__ = ["Metastore", "RunLock", "fence", "hold_alone", "hold_run", "metastore_url"]
