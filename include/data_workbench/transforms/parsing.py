"""The step that takes texts apart: by a regular expression, as JSON, as pairs of keys and values, as a quantity.

A NULL has no parts. A text that is not of the form expected does what `on_failure` says; a part that is not there is
NULL.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_workbench.errors import TransformError
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.computing import Made, make_columns
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape, named, shown
from data_workbench.transforms.plan import Action
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_values import Parse, policy
from data_workbench.transforms.text import HIDDEN
from data_workbench.transforms.units import symbol
from data_workbench.transforms.verbs import distinct_names, known

_NUMBER = r"^\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(.*?)\s*$"
_BLANK = "[ \t\r\n]"


def group_names(pattern: str) -> dict[str, int]:
    """Named groups of a RE2 expression and their numbers, unnamed ones counted."""
    found: dict[str, int] = {}
    number, position, in_class = 0, 0, False
    while position < len(pattern):
        sign = pattern[position]
        if sign == "\\":
            position += 2
            continue
        if in_class:
            in_class = sign != "]"
        elif sign == "[":
            in_class = True
            position += 2 if pattern.startswith("^", position + 1) else 1
            position += pattern.startswith("]", position)  # a bracket that comes first is one of the characters
            continue
        elif sign == "(":
            head, _, name = pattern[position + 1 :].partition("<")
            if not pattern.startswith("?", position + 1):
                number += 1
            elif head in ("?P", "?"):
                number += 1
                found[name.partition(">")[0]] = number
        position += 1
    return found


def parse_column(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.parse
    assert rule is not None
    known(step.name, [rule.column], shape, "parse")
    if shape.columns[rule.column].type not in ("VARCHAR", "JSON"):
        kind = shape.columns[rule.column].type.lower()
        raise TransformError(f"{step.name}: parse {rule.column}: it is {kind}, not text", hint="cast it to text before")
    if rule.quantity is not None:
        return _quantity(build, step.name, rule, shape, source)
    text = f"CAST({quoted(rule.column)} AS VARCHAR)"
    parts = dict(_pattern(rule, text) if rule.regex else _json(rule, text) if rule.json_ else _pairs(rule, text))
    distinct_names(step.name, dict.fromkeys([*shape.columns, *parts]))
    if not parts:
        raise TransformError(f"{step.name}: parse {rule.column}: the regex has no named group", hint="(?P<name>…)")
    for sql in [*parts.values(), _is_wrong(rule, text)]:  # an expression or a path that is none is told here
        with named(step.name, f"parse {rule.column}"):
            build.engine.execute(f"SELECT {sql} FROM (SELECT '{{}}' AS {quoted(rule.column)})")
    made = [
        _part(shape, rule, name, sql, _is_wrong(rule, text) if index == 0 else None)
        for index, (name, sql) in enumerate(parts.items())
    ]
    return make_columns(build, step.name, shape, source, made)


def _part(shape: Shape, rule: Parse, name: str, sql: str, wrong: str | None, kind: str = "VARCHAR") -> Made:
    """One column; the first one tells of a text that is not of the form."""
    column = rule.column
    return Made(
        name=name,
        sql=sql,
        column=Column(kind, None, shape.origins_of([column], "TRANSFORMATION", f"parse {column}")),
        rule=f"parse {column}",
        failed=None if wrong is None else lambda _: wrong,
        reason=f"{literal(f'{column}: ')} || {shown(quoted(column))} || {literal(f' is not {_wanted(rule)}')}",
        on_failure=policy(rule.on_failure),
    )


def _wanted(rule: Parse) -> str:
    if rule.regex:
        return f"of the form {rule.regex}"
    if rule.pairs:
        return f"made of keys and values with {rule.pairs.equals!r} between them"
    if rule.json_:
        return "JSON"
    to = rule.quantity.to if rule.quantity else None
    return f"a quantity in {to}" if to else "a quantity"


def _is_wrong(rule: Parse, text: str) -> str:
    """Whether the text is not of the form."""
    if rule.regex:
        return f"({text} IS NOT NULL AND NOT regexp_matches({text}, {literal(rule.regex)}))"
    if rule.json_:
        return f"({text} IS NOT NULL AND NOT json_valid({text}))"
    assert rule.pairs is not None
    no_pair = f"lambda p: NOT contains(p, {literal(rule.pairs.equals)})"
    return f"coalesce(len(list_filter({_elements(rule, text)}, {no_pair})) > 0, FALSE)"


def _pattern(rule: Parse, text: str) -> Iterator[tuple[str, str]]:
    pattern = rule.regex or ""
    for name, number in group_names(pattern).items():
        yield name, f"nullif(regexp_extract({text}, {literal(pattern)}, {number}), '')"


def _json(rule: Parse, text: str) -> Iterator[tuple[str, str]]:
    for name, path in (rule.json_ or {}).items():
        yield name, f"CASE WHEN json_valid({text}) THEN json_extract_string({text}, {literal(path)}) END"


def _pairs(rule: Parse, text: str) -> Iterator[tuple[str, str]]:
    """The first value of a key counts."""
    assert rule.pairs is not None
    equals, elements = literal(rule.pairs.equals), _elements(rule, text)
    for name, key in rule.pairs.take.items():
        is_it = f"trim(split_part(p, {equals}, 1)) = {literal(key)}"
        value = f"trim(substr(p, strpos(p, {equals}) + {len(rule.pairs.equals)}))"
        yield name, f"list_transform(list_filter({elements}, lambda p: {is_it}), lambda p: {value})[1]"


def _elements(rule: Parse, text: str) -> str:
    assert rule.pairs is not None
    return f"list_filter(string_split({text}, {literal(rule.pairs.between)}), lambda p: trim(p) <> '')"


def _quantity(build: Compilation, step: str, rule: Parse, shape: Shape, source: str) -> Draft:
    """Numbers by SQL, units by pint beforehand: the table of units that occur is joined."""
    quantity = rule.quantity
    assert quantity is not None
    for unit in (quantity.to, quantity.assume):
        try:
            _ = unit and symbol(unit)
        except ValueError as error:
            raise TransformError(f"{step}: parse {rule.column}: {error}") from error
    new = [quantity.value, *([quantity.unit] if quantity.unit else [])]
    distinct_names(step, dict.fromkeys([*shape.columns, *new]))
    text, pattern = f"CAST({quoted(rule.column)} AS VARCHAR)", literal(_NUMBER)
    number = f"TRY_CAST(nullif(regexp_extract({text}, {pattern}, 1), '') AS DOUBLE)"
    written = f"nullif(regexp_extract({text}, {pattern}, 2), '')"
    unit = f"CASE WHEN regexp_matches({text}, {pattern}) THEN coalesce({written}, {_or_null(quantity.assume)}) END"
    table = quoted(f"units_{step}")
    joined = (
        f"(SELECT f.*, u.factor AS _wb_factor, u.shift AS _wb_shift, u.symbol AS _wb_symbol "
        f"FROM (SELECT *, {unit} AS _wb_unit FROM {source}) f LEFT JOIN {table} u ON f._wb_unit = u.unit)"
    )
    extra = ("_wb_factor", "_wb_shift", "_wb_symbol")
    value = f"{number} * _wb_factor + _wb_shift"
    made_none = f"_wb_factor IS NULL OR {number} IS NULL OR NOT isfinite({value})"  # 1e400 reads as infinity
    made = [_part(shape, rule, quantity.value, value, f"({text} IS NOT NULL AND ({made_none}))", kind="DOUBLE")]
    if quantity.unit:
        made.append(_part(shape, rule, quantity.unit, "_wb_symbol", None))
    columns = "unit VARCHAR, factor DOUBLE, shift DOUBLE, symbol VARCHAR"
    draft = make_columns(build, step, shape, joined, made, extra=extra)
    draft.prepare[:0] = [
        Action("sql", f"CREATE OR REPLACE TEMP TABLE {table} ({columns})"),
        Action("units", f"SELECT {unit} AS unit FROM {source}", {"table": table, "to": quantity.to}),
    ]
    assert not set(extra) & set(HIDDEN)
    return draft


def _or_null(text: str | None) -> str:
    return literal(text) if text else "NULL"
