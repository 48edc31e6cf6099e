"""What every command needs: settings, connections, the metastore."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from data_workbench import settings as settings_module

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection, Connections
    from data_workbench.language.project import Project
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings


class Session:
    """Opened lazily, so that `lint` needs no server and `--help` no import."""

    @cached_property
    def settings(self) -> Settings:
        """From the environment."""
        return settings_module.load()

    @cached_property
    def connections(self) -> Connections:
        """The environment first, then this folder's local stack, if there is one."""
        from data_workbench.records.arrow import prepare_process

        prepare_process()  # whoever asks for a store will meet Arrow
        from data_workbench.connectors.connections import Connections, from_environment

        return Connections(
            from_environment,
            self._from_local_stack,
            complete=self.project.complete if self.project else None,
            listed=self._ids,
        )

    def _ids(self) -> set[str]:
        """Connections of the environment, the local stack and the project file."""
        from data_workbench.connectors.connections import ids_of_environment
        from data_workbench.servers import connection_environment

        found = ids_of_environment()
        if self._has_local_stack:
            found |= ids_of_environment(connection_environment(self.settings))
        if self.project is not None:
            found |= self.project.ids
        return found

    @property
    def _has_local_stack(self) -> bool:
        return (self.settings.home / "credentials.json").exists()

    @cached_property
    def project(self) -> Project | None:
        """The project file, if there is one; only then is a reader of YAML imported."""
        if not self.settings.project.is_file():
            return None
        from data_workbench.language.project import load_project

        return load_project(self.settings)

    @cached_property
    def metastore(self) -> Metastore:
        """The metastore, checked: it answers and its schema is current."""
        from data_workbench.connectors.metastore import open_metastore

        metastore = open_metastore(self.connections.get(self.settings.metastore))
        try:
            metastore.check()
        except BaseException:
            metastore.close()
            raise
        return metastore

    def _from_local_stack(self, connection_id: str) -> Connection | None:
        if not self._has_local_stack:
            return None
        from data_workbench.connectors.connections import from_environment
        from data_workbench.servers import connection_environment

        return from_environment(connection_id, connection_environment(self.settings))
