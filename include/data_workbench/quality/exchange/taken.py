"""What was taken of a document that another tool wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from data_workbench.errors import SchemaConflict
from data_workbench.quality.soda_block import SodaBlock
from data_workbench.quality.standalone.model import StandaloneContract

LONGEST: Final = 63
"""Letters of a contract's name."""
_OF_COLUMNS: Final = frozenset({"missing", "invalid", "duplicate", "aggregate"})


@dataclass
class Imported:
    """A contract for each object of the document, as a file would have it, and what could not be taken."""

    contracts: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def checked(contract: Mapping[str, Any]) -> dict[str, Any]:
    """The contract as a file would have it: without defaults, durations as people write them."""
    try:
        model = StandaloneContract.model_validate(contract)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False)
        place = ".".join(map(str, first["loc"]))
        raise SchemaConflict(
            f"the contract of {contract['stream']!r} cannot be ours: at {place}: {first['msg']}",
            hint="take what is wrong out of the document",
        ) from None
    durations = {name: contract[name] for name in ("freshness", "service_level") if name in contract}
    return {"version": 1, **model.model_dump(mode="json", exclude_defaults=True, by_alias=True), **durations}


class Block:
    """Checks in Soda's words, gathered one by one; each is held against Soda's own schema before it is taken."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, Any]] = {}
        self._checks: list[dict[str, Any]] = []

    def column(self, name: str, **settings: Any) -> None:
        """Take a column, be it without checks: Soda's check `schema` asks for all of them."""
        self._columns.setdefault(name, {}).update(settings)

    def add(self, check: Mapping[str, Any] | None, column: str | None = None) -> str | None:
        """Take a check of a column, or of the dataset; why not is returned."""
        if check is None:
            return "there is no such check here"
        of_column = (
            column is not None and next(iter(check)) in _OF_COLUMNS and "columns" not in next(iter(check.values()))
        )
        columns = [{"name": column, "checks": [dict(check)]}] if of_column else []
        try:
            SodaBlock(columns=columns, checks=[] if of_column else [dict(check)])
        except ValidationError as error:
            return str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
        if of_column:
            self._columns.setdefault(str(column), {}).setdefault("checks", []).append(dict(check))
        else:
            self._checks.append(dict(check))
        return None

    def document(self) -> dict[str, Any]:
        """The block, as a file would have it; empty if nothing was taken."""
        columns = [{"name": name, **one} for name, one in self._columns.items()]
        return {name: value for name, value in (("columns", columns), ("checks", self._checks)) if value}


def as_name(text: str) -> str:
    """A text as a contract's name."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return (name if name[:1].isalpha() else f"of_{name}")[:LONGEST].rstrip("_")
