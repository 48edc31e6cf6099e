"""Collects findings while the checks walk a definition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from data_workbench.errors import Finding
from data_workbench.language.definition import Definition
from data_workbench.language.yaml_tree import Path
from data_workbench.records.marks import PREFIX
from data_workbench.records.names import near_names
from data_workbench.records.type_names import canonical_type
from data_workbench.transforms.literals import pattern_refused

if TYPE_CHECKING:
    from data_workbench.transforms.expressions import Checked

_MOST_SUGGESTIONS = 30

Known = frozenset[str] | None
"""Columns known at a place; None where only the store can tell."""


@dataclass
class Report:
    """One definition's findings so far."""

    definition: Definition
    findings: list[Finding] = field(default_factory=list)
    expressions: dict[Path, Checked] = field(default_factory=dict)
    """Those that may run, by their place, for checks of their types."""

    @property
    def params(self) -> dict[str, str]:
        """Declared params and their types."""
        return self.definition.spec.param_types

    def say(self, path: Path, message: str, *, hint: str | None = None, key: bool = False) -> None:
        """Add a finding at a key path."""
        self.findings.append(self.definition.finding(path, message, hint=hint, key=key))

    def expression(
        self,
        path: Path,
        sql: str,
        known: Known,
        *,
        what: str,
        allow_aggregates: bool = False,
        allow_windows: bool = False,
    ) -> Checked | None:
        """Check an expression; None after adding what is wrong with it."""
        from data_workbench.transforms.expressions import ExpressionError, check_expression

        try:
            checked = check_expression(
                sql,
                columns=known,
                params=self.params,
                allow_aggregates=allow_aggregates,
                allow_windows=allow_windows,
                what=what,
            )
        except ExpressionError as error:
            self.refused(path, error)
            return None
        self.expressions[path] = checked
        return checked

    def order(self, path: Path, sql: str, known: Known) -> None:
        """Check one item of an ordering."""
        from data_workbench.transforms.expressions import ExpressionError, check_order

        try:
            check_order(sql, columns=known, params=self.params, what="order")
        except ExpressionError as error:
            self.refused(path, error)

    def refused(self, path: Path, error: object) -> None:
        """Add the refusal of an expression or query."""
        from data_workbench.transforms.expressions import ExpressionError

        assert isinstance(error, ExpressionError)
        within = (error.line, error.column)
        self.findings.append(self.definition.finding(path, error.message, hint=error.hint, within=within))

    def column(self, path: Path, name: str, known: Known, *, owner: str, key: bool = False) -> None:
        """A column that must be there."""
        if known is not None and name not in known:
            # Comparing names is slow among thousands of columns: the first mistakes show the pattern.
            hint = near_names(name, known) if len(self.findings) < _MOST_SUGGESTIONS else None
            self.say(path, f"{owner} has no column {name!r}", hint=hint, key=key)

    def columns(self, path: Path, names: Sequence[str], known: Known, *, owner: str) -> None:
        """A list of columns (or one name in its place) that must be there, each once."""
        seen: set[str] = set()
        for position, name in enumerate(names):
            place = self.item(path, position)
            if name.casefold() in seen:
                self.say(place, f"column {name!r} stands here twice")
            seen.add(name.casefold())
            self.column(place, name, known, owner=owner)

    def created(self, path: Path, name: str, *, key: bool = False) -> None:
        """A column that the file makes or reads under this name."""
        if name.lower().startswith(PREFIX):
            hint = "choose another name" if key else "give another name"
            self.say(
                path, f"column {name!r}: names that begin with {PREFIX} are the workbench's own", hint=hint, key=key
            )

    def clash(self, path: Path, name: str, taken: Iterable[str], *, owner: str, key: bool = False) -> None:
        """A new column that may not be there yet; case does not tell columns apart in SQL."""
        other = next((one for one in taken if one.casefold() == name.casefold()), None)
        if other is not None:
            self.say(path, f"{owner} has a column {other!r} already", hint="rename or drop one before", key=key)

    def type_name(self, path: Path, name: str) -> None:
        """A type name that must be known."""
        try:
            canonical_type(name)
        except ValueError as error:
            self.say(path, str(error))

    def pattern(self, path: Path, pattern: str) -> bool:
        """A regular expression, compiled by RE2 itself, through Arrow: what it accepts is what DuckDB will use."""
        refused = pattern_refused(pattern)
        if refused is not None:
            self.say(path, refused[0], hint=refused[1])
        return refused is None

    def made(self, path: Path, name: str, known: Known, *, owner: str, key: bool = False) -> None:
        """A column that a step makes, or puts in the place of the one with just this name."""
        self.created(path, name, key=key)
        self.clash(path, name, set(known or ()) - {name}, owner=owner, key=key)

    def item(self, path: Path, position: int) -> Path:
        """The path of an item, or of the one value that stands for a list of one."""
        node = self.definition.tree.find(path)
        return (*path, position) if node is not None and node.kind == "list" else path


def case_clashes(names: Set[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ only in case."""
    seen: dict[str, str] = {}
    return [(seen[one.casefold()], one) for one in sorted(names) if seen.setdefault(one.casefold(), one) != one]
