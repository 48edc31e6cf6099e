"""A dlt source found by its place, and its resources run in this process with the state they left."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from data_workbench.errors import AccessDenied, StoreUnavailable, Unsupported, UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.dlt.config import DltConfig
    from data_workbench.settings import Settings


class Extraction:
    """A dlt source of a connection.

    Raises:
        Unsupported: dlt is not installed.
        AccessDenied: `settings.programs` does not list the source.
    """

    def __init__(self, name: str, config: DltConfig, settings: Settings) -> None:
        self._name, self._config = name, config
        allowed = [one for one in settings.programs.split(":") if one]
        module = config.source.partition(":")[0]
        if allowed and module not in allowed:
            raise AccessDenied(
                f"connection {name!r}: the module {module!r} is not among those that may be imported",
                hint="add it to WORKBENCH_PROGRAMS (colon separated)",
            )
        if find_spec("dlt") is None:
            raise Unsupported(
                f"connection {name!r} needs the package dlt, which is not installed",
                hint="install the extra: pip install 'odras-data-workbench[dlt]'",
            )
        # A library that is only called sends no word of it.
        os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")

    def resources(self) -> dict[str, Any]:
        """The source's resources by name, made anew: one that was run cannot be run again.

        Raises:
            UsageError: there is no such source, or it is none of dlt's, or it lacks an argument.
        """
        found = self._found()
        with self._translated():
            made = found if hasattr(found, "resources") or hasattr(found, "compute_table_schema") else None
            made = made if made is not None else found(**self._config.call_with())
        resources = dict(made.resources) if hasattr(made, "resources") else {made.name: made}
        return {name: one for name, one in resources.items() if one.selected}

    def items(self, resource: Any, state: dict[str, Any]) -> Iterator[Any]:
        """What a resource yields: rows as mappings, or Arrow tables. `state` is what it left, and is written to."""
        from dlt.common.configuration.container import Container
        from dlt.common.pipeline import StateInjectableContext

        running: Iterator[Any] | None = None
        done = object()
        while True:
            # The state is in reach only while the resource runs, not while others do.
            with self._translated(), Container().injectable_context(StateInjectableContext(state=state)):
                running = iter(resource) if running is None else running
                item = next(running, done)
            if item is done:
                return
            yield item

    def _found(self) -> Any:
        from dlt.extract.decorators import SourceFactory
        from dlt.extract.resource import DltResource
        from dlt.extract.source import DltSource

        module, _, name = self._config.source.partition(":")
        try:
            found = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"connection {self._name!r}: {module!r} cannot be imported ({error.name} is not there)",
                hint="install the package that holds the source beside the workbench",
            ) from error
        except AttributeError as error:
            raise UsageError(f"connection {self._name!r}: {module!r} has no {name!r}") from error
        if not isinstance(found, DltSource | DltResource | SourceFactory):
            raise UsageError(
                f"connection {self._name!r}: {self._config.source} is no dlt source, and is not called",
                hint="name a function that @dlt.source or @dlt.resource decorates",
            )
        return found

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from dlt.common.configuration.exceptions import ConfigurationException

        try:
            yield
        except WorkbenchError:
            raise
        except (ConfigurationException, TypeError) as error:
            raise UsageError(
                f"connection {self._name!r}: {self._config.source} cannot be called: {self._first_line(error)}",
                hint="give what it needs in extra.arguments",
            ) from None
        except Exception as error:
            # A source is anybody's code and may raise anything; what it is, and its first line, is all there is to say.
            # The chain is cut: it may hold the secret argument.
            raise StoreUnavailable(
                f"connection {self._name!r}: {self._config.source} failed: {self._first_line(_cause(error))}"
            ) from None

    def _first_line(self, error: BaseException) -> str:
        lines = str(error).strip().splitlines()
        said = self._config.masked(f"{type(error).__name__}: {lines[0] if lines else ''}")
        return said[:300]  # not before: half of a secret would not be found


def _cause(error: BaseException) -> BaseException:
    """What a source itself raised, below what dlt wraps it in."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def dump_state(state: Mapping[str, Any]) -> str:
    """A resource's state as text; it may hold moments and decimals."""
    from dlt.common.json import json

    return json.typed_dumps(dict(state))


def load_state(text: str) -> dict[str, Any]:
    """The reverse of `dump_state`."""
    from dlt.common.json import json

    found: dict[str, Any] = json.typed_loads(text)
    return found
