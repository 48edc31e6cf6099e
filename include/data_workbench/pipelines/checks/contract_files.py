"""Contract files: whether what they promise can hold at all. No server, no data, no connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from data_workbench.embedding import check_model
from data_workbench.errors import DefinitionError, Finding, UsageError
from data_workbench.pipelines.checks.promises import mistakes
from data_workbench.pipelines.contract_files import ContractFile, load_contract
from data_workbench.records.type_names import canonical_type

if TYPE_CHECKING:
    from data_workbench.language.yaml_tree import Path as Place
    from data_workbench.settings import Settings

Said = tuple["Place", str, str | None]


def lint_contract(path: Path, settings: Settings) -> list[Finding]:
    """Everything in a contract file that cannot be right."""
    try:
        found = load_contract(path, settings)
    except DefinitionError as error:
        return list(error.findings)
    return [found.finding(place, message, hint) for place, message, hint in _mistakes(found)]


def _mistakes(found: ContractFile) -> Iterator[Said]:
    one = found.contract
    if Path(found.path).stem != one.contract:
        yield ("contract",), f"the file's name says {Path(found.path).stem!r}, not {one.contract!r}", "name both alike"
    for name, promise in one.columns.items():
        yield from ((("columns", name, *within), message, hint) for within, message, hint in mistakes(promise))
    if one.rows and one.rows.min is not None and one.rows.max is not None and one.rows.min > one.rows.max:
        yield ("rows", "min"), f"min {one.rows.min} is more than max {one.rows.max}", None
    for position, check in enumerate(one.checks):
        place: Place = ("checks", position, check.kind)
        if check.relationship is not None:
            least, most = check.relationship.min, check.relationship.max
            if most is not None and least > most:
                yield (*place, "min"), f"min {least} is more than max {most}", None
        if check.canaries is not None:
            try:
                check_model(check.canaries.model)
            except UsageError as error:
                yield (*place, "model"), error.message, error.hint
    for name, kind in one.options.get("types", {}).items() if isinstance(one.options.get("types"), dict) else ():
        try:
            canonical_type(str(kind))
        except ValueError as error:
            yield ("options", "types", name), str(error), None
