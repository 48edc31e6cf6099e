"""Pipelines and their runs: what the language says, planned, staged, loaded and compared.

Read `language` first (what a YAML file may say), then `run.py` (doing it). Around it stand

    before        checks (lint, without a server); the other files of a site: contract_files, watch_files,
                  archive_policies
    planning      planning (against live stores), source_plans, streams, targets, drift, effects; plan is what comes
                  out, explain what a user is told of it
    the stage     preparing, staging, landing, ranges and key_ranges, overlap, limits; direct (fused, pushing) does
                  without one
    the load      load, ledger, journaling, folding
    the end       ending, reconcile, comparing, standing, verdicts, result, retention
    beside runs   upkeep, backfill, records (quarantine, with edits and masking), contracts, sampling, tracing
    what is told  noting, pulse and measures (metastore), telling* and *_lineage (lineage, alerts), spans (traces)

`testing` runs unit tests of pipelines, `importing` makes map steps of the mappings that ODRAS keeps.
"""
