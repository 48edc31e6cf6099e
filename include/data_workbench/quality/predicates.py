"""A contract as compiled predicates: the one authority on which rows are valid.

NULL passes every rule but `required`. Values compare as what the column is: `min: "2020-01-01"` on a date
column is a date. `pattern` is an RE2 expression that must match somewhere in the value. Lengths count characters, of a
list its elements, of bytes the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from data_workbench.errors import SchemaConflict
from data_workbench.quality.contract import ColumnContract, Contract, Scalar
from data_workbench.records.names import literal, quoted
from data_workbench.records.rules import NodeRules, ReferenceRule, RowRule
from data_workbench.records.type_names import canonical_type
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    import pyarrow as pa


def compile_contract(node: str, contract: Contract, columns: pa.Schema) -> NodeRules:
    """The rules of a node with these columns.

    Raises:
        SchemaConflict: the contract names a column that is not there, or a rule cannot hold for its type.
    """
    rules: list[RowRule] = []
    references: list[ReferenceRule] = []
    unique = [tuple(names) for names in contract.unique]
    for name, promise in contract.columns.items():
        if name not in columns.names:
            raise SchemaConflict(
                f"contract of {node!r}: no column {name!r}", hint=f"columns are {', '.join(columns.names[:30])}"
            )
        rules.extend(_Column(node, name, columns.field(name)).rules(promise))
        if promise.unique and (name,) not in unique:
            unique.append((name,))
        if promise.references:
            there = promise.references
            wanted = f"a {there.column} of {there.stream}"
            references.append(ReferenceRule(name, f"reference:{node}:{name}", wanted))
    return NodeRules(tuple(rules), tuple(unique), tuple(references), contract.on_invalid)


class _Column:
    """Rules of one column."""

    def __init__(self, node: str, name: str, field: pa.Field) -> None:
        import pyarrow as pa

        self.node = node
        self.name = name
        # Categories of a data frame are what they stand for.
        self.type = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        self.native = native_type(field)
        self.sql = quoted(name)

    def rules(self, promise: ColumnContract) -> Iterator[RowRule]:
        """Each promise as a rule, in the order of the contract's keys."""
        if promise.required:
            yield RowRule(f"required {self.name}", (self.name,), f"({self.sql} IS NOT NULL)", "a value")
        if promise.type is not None:
            yield from self._type(promise.type)
        if promise.values is not None:
            wanted = "one of " + ", ".join(str(value) for value in promise.values)
            yield self._rule("values", f"{self._value()} IN ({', '.join(map(self._literal, promise.values))})", wanted)
        if promise.pattern is not None:
            text = f"CAST({self.sql} AS VARCHAR)"
            self._try_pattern(promise.pattern)
            yield self._rule(
                "pattern", f"regexp_matches({text}, {literal(promise.pattern)})", f"a match of {promise.pattern}"
            )
        if promise.min is not None:
            yield self._rule("min", f"{self._value()} >= {self._literal(promise.min)}", f"at least {promise.min}")
        if promise.max is not None:
            yield self._rule("max", f"{self._value()} <= {self._literal(promise.max)}", f"at most {promise.max}")
        if promise.min_length is not None:
            wanted = f"at least {promise.min_length} {self._unit()}"
            yield self._rule("min_length", f"{self._length()} >= {promise.min_length}", wanted)
        if promise.max_length is not None:
            wanted = f"at most {promise.max_length} {self._unit()}"
            yield self._rule("max_length", f"{self._length()} <= {promise.max_length}", wanted)

    def _rule(self, name: str, predicate: str, wanted: str) -> RowRule:
        return RowRule(
            f"{name} {self.name}", (self.name,), f"({self.sql} IS NULL OR coalesce({predicate}, FALSE))", wanted
        )

    def _value(self) -> str:
        """The column as it is compared; numeric without scale travels as text."""
        return f"TRY_CAST({self.sql} AS DOUBLE)" if self.native == "numeric" and self._is_text() else self.sql

    def _literal(self, value: Scalar) -> str:
        """A value of the contract as the column's type."""
        import pyarrow as pa

        types, kind = pa.types, self.type
        if self.native == "numeric" and self._is_text():
            return self._number(value)
        if isinstance(value, bool) or types.is_boolean(kind):
            if not (isinstance(value, bool) and types.is_boolean(kind)):
                raise self._misfit(value)
            return "TRUE" if value else "FALSE"
        if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
            return self._number(value)
        if self._is_text():
            return literal(str(value))
        for is_kind, name in _TEMPORAL.items():
            if getattr(types, is_kind)(kind):
                name = "TIMESTAMPTZ" if name == "TIMESTAMP" and kind.tz else name
                return self._checked(f"CAST({literal(str(value))} AS {name})", value)
        raise self._misfit(value)

    def _number(self, value: Scalar) -> str:
        if isinstance(value, bool):
            raise self._misfit(value)
        if isinstance(value, int):
            return f"({value})"
        if isinstance(value, float):
            return (
                f"CAST({literal(repr(value))} AS DOUBLE)" if value in _UNSPEAKABLE or value != value else f"({value!r})"
            )
        return self._checked(f"CAST({literal(value)} AS DECIMAL(38, 10))", value)

    def _checked(self, sql: str, value: Scalar) -> str:
        """A literal that DuckDB can read as what it is meant to be."""
        if _refusal(f"SELECT {sql}") is not None:
            raise self._misfit(value)
        return sql

    def _try_pattern(self, pattern: str) -> None:
        reason = _refusal(f"SELECT regexp_matches('', {literal(pattern)})")
        if reason is not None:
            raise SchemaConflict(
                f"contract of {self.node!r}: pattern of {self.name!r} is no regular expression: {reason}",
                hint="the syntax is RE2's: no look-around, no back-references",
            )

    def _misfit(self, value: Scalar) -> SchemaConflict:
        return SchemaConflict(
            f"contract of {self.node!r}: {value!r} cannot be compared with {self.name!r}, which is {self.type}",
            hint="write a value of the column's type, or cast the column in a step",
        )

    def _type(self, wanted: str) -> Iterator[RowRule]:
        """Values that can be read as the type; nothing to check where the column has it."""
        try:
            kind = canonical_type(wanted)
        except ValueError as error:
            raise SchemaConflict(f"contract of {self.node!r}: type of {self.name!r}: {error}") from None
        if not (kind == "VARCHAR" or self.native == wanted.lower()):
            yield self._rule("type", f"TRY_CAST({self.sql} AS {kind}) IS NOT NULL", f"a value of type {wanted}")

    def _length(self) -> str:
        import pyarrow as pa

        if pa.types.is_binary(self.type) or pa.types.is_large_binary(self.type):
            return f"octet_length({self.sql})"
        if pa.types.is_list(self.type) or pa.types.is_large_list(self.type) or pa.types.is_fixed_size_list(self.type):
            return f"len({self.sql})"
        return f"length(CAST({self.sql} AS VARCHAR))"

    def _unit(self) -> str:
        import pyarrow as pa

        if pa.types.is_binary(self.type) or pa.types.is_large_binary(self.type):
            return "bytes"
        return "elements" if pa.types.is_nested(self.type) else "characters"

    def _is_text(self) -> bool:
        import pyarrow as pa

        return bool(
            pa.types.is_string(self.type) or pa.types.is_large_string(self.type) or pa.types.is_string_view(self.type)
        )


_TEMPORAL: Final[Mapping[str, str]] = {"is_date": "DATE", "is_timestamp": "TIMESTAMP", "is_time": "TIME"}
_UNSPEAKABLE: Final = (float("inf"), float("-inf"))


def _refusal(sql: str) -> str | None:
    """Why DuckDB cannot compute a constant; None if it can."""
    import duckdb

    with duckdb.connect(config={"enable_external_access": "false", "threads": 1}) as engine:
        try:
            engine.execute(sql)
        except duckdb.Error as error:
            return str(error).split("\n")[0]
    return None
