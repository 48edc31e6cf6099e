"""Turning a mapping round: the lines that give back each column of its input, or why one cannot be given back.

A line can be inverted if no two values of its input give the same value: a copy, a cast that keeps every value, a whole
number moved by a constant or negated, a text with something constant before or behind it, a truth turned round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from data_workbench.records.names import quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.transforms.dialect import read_duckdb
from data_workbench.transforms.spec_values import Mapped, policy
from data_workbench.transforms.suggestions import yaml_text, yaml_word

if TYPE_CHECKING:
    import pyarrow as pa

_WIDER: Final[Mapping[str, tuple[str, ...]]] = {
    "TINYINT": ("SMALLINT", "INTEGER", "BIGINT", "VARCHAR"),
    "SMALLINT": ("INTEGER", "BIGINT", "VARCHAR"),
    "INTEGER": ("BIGINT", "VARCHAR"),
    "BIGINT": ("VARCHAR",),
    "FLOAT": ("DOUBLE",),
    "BOOLEAN": ("VARCHAR",),
    "UUID": ("VARCHAR",),
}
"""What a type may become so that its values come back from there as they were."""
_WHOLE: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")


@dataclass(frozen=True)
class Inverse:
    """A mapping turned round.

    Args:
        lines: one for each column of the input that can be given back.
        lost: the other columns of the input, each with the reason.
    """

    lines: tuple[Mapped, ...]
    lost: Mapping[str, str]

    @property
    def is_whole(self) -> bool:
        """Whether forward and back is the identity."""
        return not self.lost


def invert(lines: Sequence[Mapped], types: Mapping[str, str]) -> Inverse:
    """Turn a mapping round.

    Args:
        types: columns of the mapping's input and their types in DuckDB.
    """
    found: dict[str, Mapped] = {}
    reasons: dict[str, str] = {}
    for line in lines:
        column = _only_column(line, types)
        if column is None:
            continue
        back = _back(line, column, types[column])
        if isinstance(back, Mapped):
            found.setdefault(column, back)
        else:
            reasons.setdefault(column, f"{line.target}: {back}")
    lost = {name: reasons.get(name, "no line takes it alone") for name in types if name not in found}
    return Inverse(tuple(found[name] for name in types if name in found), lost)


def types_of(schema: pa.Schema) -> dict[str, str]:
    """The types that DuckDB gives the columns of a node."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as database:
        database.register("node", schema.empty_table())
        return {str(row[0]): str(row[1]) for row in database.execute("DESCRIBE node").fetchall()}


def as_lines(inverse: Inverse) -> Iterator[str]:
    """The lines of a `map` step, and what cannot be given back as comments."""
    yield "map:"
    for line in inverse.lines:
        given = (
            f"from: {yaml_word(line.from_)}"
            if line.from_ is not None
            else f"expression: {yaml_text(line.expression or '')}"
        )
        kind = f", type: {yaml_text(line.type.lower())}" if line.type is not None else ""
        yield f"  - {{target: {yaml_word(line.target)}, {given}{kind}}}"
    for name, reason in inverse.lost.items():
        yield f"  # - {{target: {yaml_word(name)}}}  # {' '.join(reason.split())}"


def _only_column(line: Mapped, types: Mapping[str, str]) -> str | None:
    """The one column a line looks at."""
    if line.from_ is not None:
        return line.from_ if line.from_ in types else None
    tree = _tree(line)
    spelled = {name.casefold(): name for name in types}
    names = {spelled.get(one.name.casefold()) for one in tree.find_all(exp.Column)} if tree is not None else set()
    return names.pop() if len(names) == 1 else None


def _tree(line: Mapped) -> exp.Expr | None:
    return read_duckdb(line.expression).unnest() if line.expression is not None else None


def _back(line: Mapped, column: str, kind: str) -> Mapped | str:
    """The line that gives a column back, or why there is none."""
    if line.default is not None:
        return "its default takes the place of NULL"
    if not line.is_copy and policy(line.on_failure) == "null":
        return "a value that cannot be made becomes NULL"
    wanted = kind if line.type is None else canonical_type(line.type)
    tree = _tree(line)
    if tree is not None and not isinstance(tree, exp.Column):
        if wanted != kind:
            return "its value has another type than the column"
        sql = _undone(tree, quoted(line.target), kind)
        if sql is None:
            return f"{line.expression} may give one value for two"
        return Mapped.model_validate({"target": column, "expression": sql, "type": kind})
    if wanted == kind:
        return Mapped.model_validate({"target": column, "from": line.target})
    if not _keeps(kind, wanted):
        return f"as {wanted.lower()} two values of {kind.lower()} may be one"
    return Mapped.model_validate({"target": column, "from": line.target, "type": kind})


def _keeps(kind: str, wanted: str) -> bool:
    """Whether a cast keeps every value, or refuses it."""
    if kind in _WHOLE and wanted.startswith("DECIMAL("):
        return True  # what does not fit sets its row aside
    return wanted in _WIDER.get(kind, ())


def _undone(tree: exp.Expr, target: str, kind: str) -> str | None:
    """SQL over the target that undoes an expression of one column."""
    if isinstance(tree, exp.Not) and isinstance(tree.this.unnest(), exp.Column) and kind == "BOOLEAN":
        return f"NOT {target}"
    if isinstance(tree, exp.Neg) and isinstance(tree.this.unnest(), exp.Column) and kind in _WHOLE:
        return f"-{target}"
    if isinstance(tree, exp.Add | exp.Sub) and kind in _WHOLE:
        return _unmoved(tree, target)
    if isinstance(tree, exp.DPipe) and kind == "VARCHAR":
        return _unframed(tree, target)
    return None


def _unmoved(tree: exp.Add | exp.Sub, target: str) -> str | None:
    left, right = tree.this.unnest(), tree.expression.unnest()
    if isinstance(left, exp.Column) and _is_whole(right):
        return f"{target} {'-' if isinstance(tree, exp.Add) else '+'} {right.this}"
    if isinstance(right, exp.Column) and _is_whole(left):
        return f"{target} - {left.this}" if isinstance(tree, exp.Add) else f"{left.this} - {target}"
    return None


def _is_whole(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.is_int


def _unframed(tree: exp.DPipe, target: str) -> str | None:
    """A text without what stands before and behind it."""
    parts = [part.unnest() for part in tree.flatten()]
    places = [place for place, part in enumerate(parts) if isinstance(part, exp.Column)]
    constant = all(isinstance(part, exp.Column) or (isinstance(part, exp.Literal) and part.is_string) for part in parts)
    if len(places) != 1 or not constant:
        return None
    before = sum(len(str(part.this)) for part in parts[: places[0]])
    behind = sum(len(str(part.this)) for part in parts[places[0] + 1 :])
    return f"substring({target}, {before + 1}, length({target}) - {before + behind})"
