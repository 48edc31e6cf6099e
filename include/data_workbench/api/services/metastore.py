"""The metastore, as the API server reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from data_workbench import settings as settings_module
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.metastore import open_metastore

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore


@contextmanager
def metastore() -> Iterator[Metastore]:
    """The metastore, checked. Its connection stands in the environment: the API server has no task's access to others.

    Raises:
        WorkbenchError: it does not answer, or its tables are not those of this version.
    """
    with open_metastore(Connections(from_environment).get(settings_module.load().metastore)) as opened:
        opened.check()
        yield opened
