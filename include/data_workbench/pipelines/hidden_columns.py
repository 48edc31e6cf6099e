"""Which columns of a dataset nobody is shown: what the site's pipelines and its contracts of datasets classify.

A file that is broken and classifies something is told and nothing is shown: nobody knows which column it hides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import load_definition
from data_workbench.language.rule_files import is_pipeline_file
from data_workbench.pipelines.classification import classified_columns, datasets_of, is_classified, plain_name
from data_workbench.pipelines.contract_files import ContractFile, contract_files, load_contract

if TYPE_CHECKING:
    from pathlib import Path

    from data_workbench.language.definition import Definition
    from data_workbench.settings import Settings


_CLASSIFIES = b"classification"


class HiddenColumns:
    """The classified columns of datasets; all files are read once.

    Args:
        chosen: contracts that count beside those of the folder, such as a file that lies elsewhere.

    Raises:
        DefinitionError: a file is broken and classifies columns.
    """

    def __init__(self, settings: Settings, chosen: Sequence[ContractFile] = ()) -> None:
        self.definitions = known_definitions(settings)
        known = {one.path for one in chosen}
        others = (path for path in contract_files(settings) if str(path) not in known)
        self._by_dataset: dict[str, set[str]] = {}
        for one in (*chosen, *_known_contracts(others, settings)):
            names = {name for name, column in one.contract.columns.items() if is_classified(column)}
            self._by_dataset.setdefault(plain_name(one.contract.dataset), set()).update(names)
        self._found: dict[str, frozenset[str]] = {}

    def __call__(self, dataset: str) -> frozenset[str]:
        """Of one dataset, CONNECTION:STREAM."""
        if dataset not in self._found:
            connection, is_relationship, _ = dataset.rpartition(":[:")
            ends = self._datasets_in(connection) if is_relationship else ()
            self._found[dataset] = self._of(dataset).union(*map(self._of, ends))
        return self._found[dataset]

    def _of(self, dataset: str) -> frozenset[str]:
        by_pipelines = classified_columns(self.definitions, dataset)
        return by_pipelines | self._by_dataset.get(plain_name(dataset), set())

    def _datasets_in(self, connection: str) -> set[str]:
        """All of a graph: a relationship is shown with the nodes at its ends, of whatever labels."""
        by_pipelines = {name for one in self.definitions for name in datasets_of(one.spec)}
        return {name for name in {*self._by_dataset, *by_pipelines} if name.startswith(f"{connection}:")}


def known_definitions(settings: Settings) -> list[Definition]:
    """The pipelines that can be read. Raises DefinitionError if another one classifies columns."""
    found = []
    for path in sorted(filter(is_pipeline_file, settings.pipelines.glob("*"))):
        try:
            found.append(load_definition(path, settings=settings))
        except DefinitionError:
            if _CLASSIFIES in path.read_bytes():
                raise
    return found


def _known_contracts(paths: Iterable[Path], settings: Settings) -> list[ContractFile]:
    found = []
    for path in paths:
        try:
            found.append(load_contract(path, settings))
        except DefinitionError:
            if _CLASSIFIES in path.read_bytes():
                raise
    return found
