"""The file of watches, read like every other file here: each mistake with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from data_workbench.errors import DefinitionError, Finding, UsageError
from data_workbench.language.wording import explain
from data_workbench.language.yaml_tree import Unreadable, read_tree
from data_workbench.lineage import source_name
from data_workbench.pipelines.classification import classified_columns, is_classified
from data_workbench.pipelines.contract_files import contract_files, load_contract
from data_workbench.pipelines.schema_history import keep_schemas
from data_workbench.pipelines.telling_trouble import readable
from data_workbench.watching import Pass, Watcher, Watches

if TYPE_CHECKING:
    from pathlib import Path

    from data_workbench.connectors.base import Stream
    from data_workbench.connectors.connections import Connection, Connections
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings


def watch_once(store: Metastore, connections: Connections, settings: Settings) -> Pass:
    """One pass over all that the site watches.

    Raises:
        DefinitionError: the file of watches is broken.
    """
    asked = load_watches(settings)

    def met(connection_id: str, stream: Stream) -> None:
        keep_schemas(store, {(connection_id, stream.name): stream})

    return Watcher(store, connections, settings, _Classified(settings), _named, met).run(asked)


def load_watches(settings: Settings) -> Watches:
    """What is watched; nothing if there is no file.

    Raises:
        UsageError: it cannot be read.
        DefinitionError: it is broken; `findings` has every mistake.
    """
    if not settings.watches.is_file():
        return Watches(version=1, watches=[])
    try:
        text = settings.watches.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {str(settings.watches)!r} ({type(error).__name__})", hint="give a .yaml file in UTF-8"
        ) from None
    if len(text) > settings.max_definition_bytes:
        message = f"the file has more than {settings.max_definition_bytes} characters"
        raise DefinitionError([Finding(str(settings.watches), 1, 1, message)])
    return parse_watches(text, settings.watches)


def parse_watches(text: str, path: Path) -> Watches:
    """Watches from their text. Raises DefinitionError."""
    try:
        tree, problems = read_tree(text)
    except Unreadable as error:
        tree, problems = None, error.problems
    if tree is None or problems:
        raise DefinitionError(
            [Finding(str(path), one.place.line, one.place.column, one.message, one.hint) for one in problems]
        )
    try:
        return Watches.model_validate(tree.plain())
    except ValidationError as error:
        findings = []
        for word in explain(error, tree, Watches):
            place = tree.locate(word.path, key=word.at_key)
            findings.append(Finding(str(path), place.line, place.column, word.message, word.hint))
        raise DefinitionError(findings) from None


class _Classified:
    """Columns that contracts classify, of pipelines and by themselves; all files are read once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._definitions = readable(settings)

    def __call__(self, dataset: str) -> frozenset[str]:
        found = classified_columns(self._definitions, dataset)
        return found | self._by_contracts(dataset)

    def _by_contracts(self, dataset: str) -> frozenset[str]:
        found: set[str] = set()
        for path in contract_files(self._settings):
            try:
                contract = load_contract(path, self._settings).contract
            except (DefinitionError, UsageError):
                continue  # its own check tells
            if f"{contract.connection}:{contract.stream}" == dataset:
                found |= {name for name, column in contract.columns.items() if is_classified(column)}
        return frozenset(found)


def _named(connection: Connection, stream: str) -> tuple[str, str]:
    found = source_name(connection, stream)
    return found.namespace, found.name
