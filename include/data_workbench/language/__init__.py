"""The pipeline language: what a YAML file may say, and every mistake in one with its place.

Read `spec.py` first (the keys; spec_source, spec_destination and spec_reuse are parts of it), then `definition.py`,
which loads a file. Around them stand

    the text      yaml_tree (values that know their line), yaml_quick (what the scheduler asks, in a moment)
    shared parts  expansion: templates, grafting, prefixes; rule_files (rule sets of a folder)
    meaning       resolve (what feeds what), params, partitions, schedules, iris (terms of an ontology)
    the folder    project: what all files of a site share; kinds: what a file is
    mistakes      wording: what pydantic says, in plain words

Nothing here opens a store. What no file alone can tell is looked for by `pipelines.checks`.
"""
