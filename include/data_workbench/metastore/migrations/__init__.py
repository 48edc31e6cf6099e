"""How the metastore's tables came to be, as Alembic revisions in `versions`, numbered so that later sorts later.

To change a table: change it in `tables/`, add `versions/NNNN_what.py`, set HEAD. A test compares all three.
"""

from typing import Final

HEAD: Final = "0030"
"""The newest revision; kept here so that checking it needs no Alembic import."""
VERSION_TABLE: Final = "workbench_version"
