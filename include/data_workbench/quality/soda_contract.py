"""Our contract in Soda's words: the checks it shall run, and the view of the rows it runs them on."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from data_workbench.records.marks import OP, UPSERT
from data_workbench.records.names import literal, quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.quality.contract import ColumnContract, Contract

Outcome = Literal["passed", "warned", "failed", "not_evaluated"]
Level = Literal["fail", "warn"]
SOURCE, SCHEMA, VIEW, GIVEN = "workbench", "main", "accepted", "given"
"""What Soda calls the connection and finds there, and the relation with the rows to check."""


@dataclass(frozen=True)
class CheckResult:
    """One check of one dataset.

    Args:
        failing: rows that break it; None when it was not measured.
        sample: keys of a few of them.
        rows: how many rows were looked at; None when it was not evaluated.
        reason: why it was not evaluated, where that is not in the nature of the rule.
    """

    dataset: str
    name: str
    outcome: Outcome
    failing: int | None = None
    sample: list[Any] = field(default_factory=list)
    rows: int | None = None
    reason: str | None = None


def level_of(contract: Contract) -> Level:
    """What a broken check of a contract is."""
    return "warn" if contract.on_invalid == "warn" else "fail"


def rule_names(contract: Contract, schema: pa.Schema) -> list[str]:
    """The names of a contract's checks, in their order, without looking at a row."""
    return Draft(contract, schema, level_of(contract)).names


class Draft:
    """Soda's contract in the making.

    Columns are renamed, since Soda pastes names into SQL as they are: `c0`, beside it `c0_text`, `c0_number` and
    `c0_length` where a rule looks at it so. A check's qualifier, a number, leads back from Soda's result to its name.
    """

    def __init__(
        self, contract: Contract, schema: pa.Schema, level: Level, *, unreadable: frozenset[str] = frozenset()
    ) -> None:
        self._schema = schema
        self._level = level
        self._unreadable = unreadable
        """Columns whose text is not the one that was written: of them only `required` and `unique` mean something."""
        self._columns: dict[str, str] = {}
        """Expressions of the view by the name Soda knows."""
        self._column_checks: dict[str, list[dict[str, Any]]] = {}
        self._dataset_checks: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.known: dict[str, tuple[Outcome, int | None]] = {}
        """Results that need no look at the rows."""
        for name, promise in contract.columns.items():
            self._add_column(name, promise)
        single = [[name] for name, promise in contract.columns.items() if promise.unique]
        for group in [*contract.unique, *(group for group in single if group not in contract.unique)]:
            self._add_unique(group)
        self._add("row_count", {"row_count": {"threshold": {"must_be_greater_than_or_equal": 0}}})

    def document(self) -> str:
        """The contract as YAML text (JSON is YAML)."""
        checked = [{"name": name, "checks": checks} for name, checks in self._column_checks.items()]
        columns = [{"name": "present"}, *checked]  # Soda wants at least one
        dataset = f"{SOURCE}/{SCHEMA}/{VIEW}"
        return json.dumps({"dataset": dataset, "columns": columns, "checks": self._dataset_checks})

    def view(self) -> str:
        """The statement that makes the view Soda looks at."""
        columns = "".join(f", {expression} AS {name}" for name, expression in self._columns.items())
        # A tombstone or retraction carries its key past the contract; its other columns may be empty.
        written = f" WHERE {OP} = '{UPSERT}'" if OP in self._schema.names else ""
        return f"CREATE VIEW {VIEW} AS SELECT 1 AS present{columns} FROM {GIVEN}{written}"

    def _add_column(self, name: str, promise: ColumnContract) -> None:
        if name not in self._schema.names:
            self.names.append(f"column {name}")
            self.known[f"column {name}"] = ("warned" if self._level == "warn" else "failed", None)
            return
        if promise.required:
            self._add(f"required {name}", {"missing": {}}, self._column(name))
        for rule in ("type", "values", "pattern", "min", "max", "min_length", "max_length", "references"):
            value = getattr(promise, rule)
            if value is None:
                continue
            if name in self._unreadable:
                self.names.append(f"{rule} {name}")
                continue
            self._add_rule(f"{rule} {name}", name, rule, value)

    def _add_rule(self, title: str, name: str, rule: str, value: Any) -> None:
        settings: dict[str, Any] | None = None
        column = self._column(name)
        match rule:
            case "type":
                self._add_predicate(title, column, f'TRY_CAST("{column}" AS {canonical_type(value)}) IS NOT NULL')
                return
            case "pattern" if "${" not in value:  # Soda would fill in a variable, be it from the environment
                column, settings = self._column(name, "text"), {"valid_format": {"regex": value, "name": "pattern"}}
            case "min_length" | "max_length":
                column, settings = self._column(name, "length"), {f"valid_{rule[:3]}": value}
            case "min" | "max" if (compared := self._comparable(name, [value])) is not None:
                column, [limit] = compared
                if isinstance(limit, str) or column.endswith("_number"):  # Soda's own limits are bare numbers
                    sign = ">=" if rule == "min" else "<="
                    self._add_predicate(title, self._column(name), f'"{column}" {sign} {_literal(limit)}')
                    return
                settings = {f"valid_{rule}": limit}
            case "values" if (compared := self._comparable(name, value)) is not None:
                column, values = compared
                if column.endswith("_number"):
                    listed = ", ".join(map(_literal, values))
                    self._add_predicate(title, self._column(name), f'"{column}" IN ({listed})')
                    return
                settings = {"valid_values": values}
        if settings is None:
            self.names.append(title)
        else:
            self._add(title, {"invalid": settings}, column)

    def _add_unique(self, group: list[str]) -> None:
        title = f"unique {', '.join(group)}"
        if any(name not in self._schema.names for name in group):
            self.names.append(title)
            return
        columns = [self._column(name) for name in group]
        complete = " AND ".join(f'"{column}" IS NOT NULL' for column in columns)
        if len(columns) == 1:
            self._add(title, {"duplicate": {"filter": complete}}, columns[0])
            return
        # Soda's own check of several columns joins them to one text, in which ("a|", "b") equals ("a", "|b").
        nth = f"row_number() OVER (PARTITION BY {', '.join(columns)})"
        numbered = f"SELECT {nth} AS nth FROM {VIEW} WHERE {complete}"
        self._add(title, {"failed_rows": {"query": f"SELECT nth FROM ({numbered}) WHERE nth > 1"}})

    def _add_predicate(self, title: str, column: str, predicate: str) -> None:
        """A rule in SQL of our own; what it says nothing about is as wrong as for the compiled rules."""
        broken = f'"{column}" IS NOT NULL AND NOT coalesce({predicate}, FALSE)'
        self._add(title, {"failed_rows": {"expression": broken}})

    def _add(self, title: str, check: dict[str, dict[str, Any]], column: str | None = None) -> None:
        [(kind, settings)] = check.items()
        self.names.append(title)
        threshold = {**settings.get("threshold", {"must_be": 0}), "level": self._level}
        planned = {kind: {**settings, "threshold": threshold, "qualifier": str(len(self.names) - 1)}}
        if column is None:
            self._dataset_checks.append(planned)
        else:
            self._column_checks.setdefault(column, []).append(planned)

    def _column(self, name: str, seen_as: Literal["text", "number", "length"] | None = None) -> str:
        """What Soda calls a column, seen as it is or as something else."""
        plain = f"c{self._schema.names.index(name)}"
        sql = quoted(name)
        chosen = f"{plain}_{seen_as}" if seen_as else plain
        expressions = {
            "text": f"CAST({sql} AS VARCHAR)",
            "number": f"TRY_CAST({sql} AS DOUBLE)",
            "length": _length(sql, self._schema.field(name).type),
        }
        self._columns[chosen] = expressions[seen_as] if seen_as else sql
        return chosen

    def _comparable(self, name: str, values: list[Any]) -> tuple[str, list[Any]] | None:
        """The column and the values in a form in which Soda compares them as the predicates do; None if it cannot."""
        import pyarrow as pa

        found = self._schema.field(name)
        types, kind = pa.types, found.type
        numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
        if any("${" in str(value) for value in values):
            return None
        if numeric or (native_type(found) == "numeric" and types.is_string(kind)):
            fits = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
            fits = fits and all(math.isfinite(one) for one in values)
            return (self._column(name, None if numeric else "number"), values) if fits else None
        if types.is_boolean(kind):
            fits = all(isinstance(one, bool) for one in values)
            return (self._column(name, "text"), [str(one).lower() for one in values]) if fits else None
        if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            return self._column(name), [str(one) for one in values]
        return (self._column(name), [str(one) for one in values]) if types.is_temporal(kind) else None


def _literal(value: str | float) -> str:
    return literal(value) if isinstance(value, str) else repr(value)


def _length(sql: str, kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return f"octet_length({sql})"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"len({sql})"
    return f"length(CAST({sql} AS VARCHAR))"
