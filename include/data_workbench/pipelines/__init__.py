"""The pipeline language and its runs: spec -> plan -> stage -> load -> reconcile.

Read `spec.py` first (what a YAML file may say), then `definition.py` (loading a file with places for every mistake) and
`run.py` (doing it). Around them stand

    the file      yaml_tree, expansion (templates, grafting, prefixes), resolve (what feeds what); checks (lint, without
                  a server); project and the other files of a site: contract_files, rule_files, watch_files
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
