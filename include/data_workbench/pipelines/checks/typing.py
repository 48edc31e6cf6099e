"""Whether the values of an expression fit together, as far as the file alone shows it.

What a source's columns are only the store knows. A step may say it (`cast`, the types of `map` and of `python`), and
many expressions give one type whatever they are made of. Where a column's type is not known, an expression is wrong
only if no type would do: `lower(name) + 1` is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

from sqlglot import exp

from data_workbench.language.resolve import Resolved
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.report import Report
from data_workbench.records.names import quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.transforms.text import with_variables

if TYPE_CHECKING:
    import duckdb

    from data_workbench.transforms.expressions import Checked
    from data_workbench.transforms.spec import Step

Kinds = Mapping[str, str]
"""Columns of which the type is known."""

_PROBES = (
    *("VARCHAR", "BIGINT", "DOUBLE", "TIMESTAMPTZ", "DATE", "BOOLEAN", "DECIMAL(18,3)", "TIMESTAMP", "TIME"),
    *("INTERVAL", "BLOB", "UUID", "JSON", "VARCHAR[]", "DOUBLE[]", "BIT"),
)
"""Types a column may have that nobody told, the likeliest first."""
_MOST_UNKNOWN = 2
"""Of more such columns not every pair is tried."""
_NESTED = (exp.Dot, exp.Bracket, exp.Lambda, exp.Comprehension, exp.Struct, exp.Map)
"""What looks into values: their columns may be of any shape."""
_NESTING = ("list", "array", "map", "struct", "union", "row", "flatten", "element", "cardinality")
_WHOLE: Mapping[str, str] = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", '"NULL"': "VARCHAR"}
_TEXTS = ("normalise", "mask", "pseudonymise")


def check_types(report: Report, resolved: Resolved) -> None:
    """Say of each expression whose values cannot fit together what the engine says of it."""
    flow: dict[str, Kinds] = {}
    found = _Types(report)
    try:
        for position, step in enumerate(report.definition.spec.steps):
            given = flow.get(resolved.step_inputs.get(step.name, ""), {})
            flow[step.name] = found.after(step, ("steps", position, step.verb), given, flow)
    finally:
        found.close()


class _Types:
    """Types of the expressions of a file; the engine is opened when the first is asked for."""

    def __init__(self, report: Report) -> None:
        self.report = report

    @cached_property
    def engine(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        from data_workbench.records.uuids import UUID5_MACROS
        from data_workbench.transforms.engine import FIXED, bindings, set_params

        engine = duckdb.connect(config={"threads": 1})
        for statement in (*FIXED, *UUID5_MACROS):
            engine.execute(statement)
        set_params(engine, bindings(self.report.params, {}, None))
        return engine

    def close(self) -> None:
        """Close the engine, if it was opened."""
        if "engine" in self.__dict__:
            self.engine.close()

    # ------------------------------------------------------------------------------------------------- the verbs

    def after(self, step: Step, path: Path, given: Kinds, flow: Mapping[str, Kinds]) -> Kinds:
        """Types of the columns that a step gives."""
        if step.verb in _TEXTS:
            columns = getattr(step, step.verb).columns
            return {**given, **dict.fromkeys(columns, "VARCHAR")}
        match step.verb:
            case "select":
                return {name: given[name] for name in step.select or () if name in given}
            case "rename":
                return {(step.rename or {}).get(name, name): kind for name, kind in given.items()}
            case "derive":
                return _put(given, self._each(path, step.derive or {}, given, "derive"))
            case "filter":
                self._condition(path, given, "filter")
                return given
            case "cast":
                return _put(given, {name: _type(rule.to) for name, rule in step.casts.items()})
            case "map":
                return self._mapped(step, path, given)
            case "aggregate":
                return self._grouped(step, path, given)
            case "rules":
                return self._ruled(step, path, given)
            case "deduplicate" | "sort" | "versions" | "hash" | "surrogate_key":
                return given
            case "join" if step.join is not None:
                right = {} if step.join.how == "anti" else flow.get(step.join.with_, {})
                dropped = set(step.join.on.values())
                return {**{name: kind for name, kind in right.items() if name not in dropped}, **given}
            case "union" if step.union is not None:
                sides = [flow.get(name, {}) for name in step.union.with_]
                return {name: kind for name, kind in given.items() if all(one.get(name) == kind for one in sides)}
            case "python" if step.python is not None:
                made = {name: _type(kind) for name, kind in step.python.columns.items()}
                return _put(given if step.python.each else {}, made)
        return {}

    def _each(self, path: Path, texts: Mapping[str, str], given: Kinds, what: str) -> dict[str, str | None]:
        return {name: self._kind((*path, name), given, f"{what} {name}") for name in texts}

    def _mapped(self, step: Step, path: Path, given: Kinds) -> Kinds:
        made: dict[str, str | None] = {}
        for place, line in enumerate(step.map or ()):
            if line.expression is not None:
                kind = self._kind((*path, place, "expression"), given, f"map {line.target}")
            else:
                kind = given.get(line.from_ or "")
            made[line.target] = _type(line.type) if line.type is not None else kind
        return _put({}, made)

    def _grouped(self, step: Step, path: Path, given: Kinds) -> Kinds:
        rule = step.aggregate
        assert rule is not None
        folded = [name for name in rule.take if self._folds((*path, "take", name), rule.by)]
        made = {name: self._kind((*path, "take", name), given, f"take {name}", by=rule.by) for name in folded}
        out = _put({name: given[name] for name in rule.by if name in given}, made)
        if rule.having is not None:
            self._condition((*path, "having"), out, "having")
        return out

    def _folds(self, path: Path, by: Sequence[str]) -> bool:
        """Whether the expression at this place folds its group; of others more has been said than types can tell."""
        checked = self.report.expressions.get(path)
        return checked is not None and checked.is_aggregate and checked.bare_columns <= set(by)

    def _ruled(self, step: Step, path: Path, given: Kinds) -> Kinds:
        rules = step.rules.set_ if step.rules is not None else None
        if rules is None:
            return {}
        for position, one in enumerate(rules.rules):
            place = (*path, "set", "rules", position)
            self._condition((*place, "when"), given, f"rule {one.name}: when")
            self._each((*place, "then"), one.then, given, f"rule {one.name}:")
        self._each((*path, "set", "default"), rules.default, given, "default")
        return {name: kind for name, kind in given.items() if name not in rules.columns}

    # -------------------------------------------------------------------------------------------- the expressions

    def _kind(self, path: Path, given: Kinds, what: str, *, by: Sequence[str] = ()) -> str | None:
        """The type of the expression at this place, if it is the same whatever the store has."""
        checked = self.report.expressions.get(path)
        if checked is None:
            return None
        kinds = self._kinds(checked, given, by)
        first = next(kinds, None)
        if isinstance(first, str):
            is_sure = set(checked.columns) <= set(given) or isinstance(checked.tree, exp.Cast | exp.Predicate)
            return first if is_sure else None
        if first is not None:
            self._say(path, what, first)
        return None

    def _condition(self, path: Path, given: Kinds, what: str) -> None:
        """The expression at this place has to be true or false."""
        checked = self.report.expressions.get(path)
        if checked is None:
            return
        found: str | None = None
        for kind in self._kinds(checked, given, ()):
            if not isinstance(kind, str):
                self._say(path, what, kind)
                return
            if kind == "BOOLEAN":
                return
            found = found or kind
        unknown = set(checked.columns) - set(given)
        if found is not None and (not unknown or _is_plain(checked, sorted(unknown))):
            self.report.say(path, f"{what} gives {found.lower()}, not true or false", hint="compare it with something")

    def _kinds(self, checked: Checked, given: Kinds, by: Sequence[str]) -> Iterator[str | Exception]:
        """Types that the expression may have; the engine's first error if it has none and all were tried."""
        unknown = [name for name in sorted(checked.columns) if name not in given]
        tries = _tries(unknown)
        group = [name for name in by if name in checked.bare_columns]
        error: Exception | None = None
        found = False
        for kinds in tries:
            kind = self._describe(checked, {**given, **dict(zip(unknown, kinds, strict=True))}, group)
            if isinstance(kind, str):
                found = True
                yield kind
            error = error or (kind if isinstance(kind, Exception) else None)
        if error is not None and not found and (not unknown or _is_plain(checked, unknown)):
            yield error

    def _describe(self, checked: Checked, kinds: Kinds, group: Sequence[str]) -> str | Exception:
        import duckdb

        columns = ", ".join(f"CAST(NULL AS {kinds[name]}) AS {quoted(name)}" for name in sorted(checked.columns))
        table = f" FROM (SELECT {columns})" if columns else ""
        grouped = f" GROUP BY {', '.join(map(quoted, group))}" if group else ""
        try:
            [row] = self.engine.execute(
                f"DESCRIBE SELECT {with_variables(checked.tree)} AS v{table}{grouped}"
            ).fetchall()
        except duckdb.Error as error:
            return error
        return _WHOLE.get(str(row[1]), str(row[1]))

    def _say(self, path: Path, what: str, error: Exception) -> None:
        import duckdb

        from data_workbench.transforms.drafts import first_line

        if isinstance(error, duckdb.ParserException):
            self.report.say(path, f"{what} is no expression that DuckDB reads", hint="see its documentation of SQL")
            return
        words = first_line(error).partition("Candidate functions:")[0].replace("Binder Error: ", "").strip()
        words = words.replace("You might need to add explicit type casts.", "").strip()
        self.report.say(path, f"{what}: {words}", hint="cast a value, as in CAST(name AS integer)")


def _tries(unknown: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Types for columns that nobody told: all of one first, then every pair."""
    if not unknown:
        yield ()
        return
    for kind in _PROBES:
        yield (kind,) * len(unknown)
    if 1 < len(unknown) <= _MOST_UNKNOWN:
        yield from (one for one in product(_PROBES, repeat=len(unknown)) if len(set(one)) > 1)


def _is_plain(checked: Checked, unknown: Sequence[str]) -> bool:
    """Whether all types were tried that the unknown columns may have."""
    if len(unknown) > _MOST_UNKNOWN:
        return False
    for node in checked.tree.walk():
        names = (
            [node.name] if isinstance(node, exp.Anonymous) else node.sql_names() if isinstance(node, exp.Func) else []
        )
        if isinstance(node, exp.Column) and node.table:  # a field of a value
            return False
        if isinstance(node, _NESTED) or any(name.lower().startswith(_NESTING) for name in names):
            return False
    return True


def _put(given: Kinds, made: Mapping[str, str | None]) -> Kinds:
    """Columns made beside those that are there; one whose type is not known hides the one it takes the place of."""
    kept = {name: kind for name, kind in given.items() if name not in made}
    return {**kept, **{name: kind for name, kind in made.items() if kind is not None}}


def _type(text: str) -> str | None:
    with suppress(ValueError):
        return canonical_type(text)
    return None
