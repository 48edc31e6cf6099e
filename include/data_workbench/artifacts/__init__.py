"""Staged files: what a stage hands to the next one, as Parquet parts under a manifest.

An artifact is `<root>/<pipeline>/<run id>/<name>/part-00000.parquet …` and exists from the moment its `manifest.json`
does: a finished one never changes and is used again after a crash, an unfinished one is thrown away and made anew.
The root is a folder or any fsspec URL.

Read `store.py` first, then `manifest.py` (reading), `writer.py` and `encoder.py` (writing), and `takeover.py` (files
that are taken as they are).
"""

from data_workbench.artifacts.checksum import content_checksum
from data_workbench.artifacts.manifest import Manifest, Part
from data_workbench.artifacts.store import ArtifactStore, StoredRun
from data_workbench.artifacts.writer import ArtifactWriter

__all__ = ["ArtifactStore", "ArtifactWriter", "Manifest", "Part", "StoredRun", "content_checksum"]
