"""What a `workbench_reqif` connection holds: a file, or a folder of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from data_workbench.connectors.spec import StoreConfig


class ReqifConfig(StoreConfig):
    """Where the documents stand."""

    columns: ClassVar[Mapping[str, str]] = {"place": "host"}

    place: str = Field(description="`file:///folder`, or a `.reqif` or `.reqifz` file; other file systems as for files")
    max_bytes: int = Field(2 * 1024**3, ge=1024, description="what an archive may hold, unpacked")
