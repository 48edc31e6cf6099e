"""Texts and lists whose size is a number in a row: `repeat('-', n)`, `range(n)`, `lpad(code, width)`.

DuckDB makes them outside its memory limit, 2048 rows at a time, so one wrong number ends the process. A number that is
written too large is told before anything runs. One that comes from the data is asked for first, and is no number where
it is too large: that sets its row aside, as any value does that cannot be computed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from data_workbench.transforms.dialect import read_duckdb
from data_workbench.transforms.words import ExpressionError

MOST_ELEMENTS = 10_000
"""Of a list made from a number; 2048 rows of so many take 160 MB."""
MOST_CHARACTERS = 100_000
"""Of a text made from a number; 2048 rows of so many take 200 MB."""
_MOST_PER_ELEMENT = 100
"""A size that is written stays as it is for each element of a list up to here: `[lpad(c, 8, '0') for c in codes]`."""
_MOST_COPIED = 4_000
"""What a size hangs on is written twice; nested calls would double it each time."""
_HINT = "make rows instead of a long value, with a join or an unnest step"

_RESIZES = ("list_resize", "array_resize")
_JOINERS = (exp.DPipe, exp.Concat, exp.ConcatWs, exp.Replace, exp.RegexpReplace, exp.ArrayConcat, exp.Format)
_JOINING = frozenset({"list_concat", "list_cat", "array_concat", "array_cat", "printf", "flatten", "array_to_string"})
_WIDTHS = {
    "printf": r"%([0-9]+[$])?[-+ #0]*[0-9]*[.]?([*]|[0-9]{5,})",
    "format": r"[{][^{}]*([{]|[0-9]{5,})",
}
"""A width or precision of five digits or more, or one that is another value; `1$` says which value is shown."""
_ESCAPES = {"printf": "%%", "format": "{{"}
"""A sign that stands for itself, and begins nothing."""

Refusal = tuple[exp.Expr, tuple[str, str | None]]


@dataclass(frozen=True)
class _Sized:
    """A call whose value is as large as one of its arguments says.

    Args:
        size: the argument.
        unit: what one more of it adds, a text or a list, if that is more than one.
        kind: the type that the argument has to have.
    """

    size: exp.Expr
    unit: exp.Expr | None
    kind: str
    is_list: bool = False

    @property
    def most(self) -> int:
        return MOST_ELEMENTS if self.is_list else MOST_CHARACTERS

    @property
    def told(self) -> str:
        return (
            f"a list of more than {self.most} elements"
            if self.is_list
            else f"a text of more than {self.most} characters"
        )


def refused_size(node: exp.Expr) -> Refusal | None:
    """What a call makes that is written larger than is allowed, and why it is refused."""
    written = _written_format(node)
    if written is not None and re.search(_WIDTHS[_name(node)], written.name.replace(_ESCAPES[_name(node)], "")):
        return written, (f"{_name(node)} has a width of more than 9999 characters, or one that is a value", _HINT)
    if isinstance(node, exp.GenerateSeries):
        start, end, step = (_number(node.args.get(part)) for part in ("start", "end", "step"))
        step = 1 if node.args.get("step") is None else step
        if start is not None and end is not None and step and (end - start) / step > MOST_ELEMENTS:
            return node, (f"makes a list of more than {MOST_ELEMENTS} elements", _HINT)
        return None
    sized = _sized(node)
    size = _number(sized.size) if sized else None
    if sized is None or size is None:
        return None
    unit = sized.unit
    if size * (len(unit.name) if isinstance(unit, exp.Literal) and unit.is_string else 1) > sized.most:
        return node, (f"makes {sized.told}", _HINT)
    return None


def guard_sizes(tree: exp.Expr) -> exp.Expr:
    """The expression with each size that comes from the data asked for.

    Raises:
        ExpressionError: such calls are nested too deeply.
    """
    root = exp.Paren(this=tree)
    found = [node for node in root.walk() if _makes_much(node)]
    _Guards(found).write()
    return root.this.pop() if found else tree


def _makes_much(node: exp.Expr) -> bool:
    return _sized(node) is not None or isinstance(node, exp.GenerateSeries) or _name(node) in _WIDTHS or _doubles(node)


class _Guards:
    """Guards the calls of one expression: what is copied into a guard is guarded before."""

    def __init__(self, found: list[exp.Expr]) -> None:
        self.waiting = {id(node): node for node in found}
        self.copied = 0

    def write(self) -> None:
        for node in list(self.waiting.values()):
            self._guard(node)

    def _guard(self, node: exp.Expr) -> None:
        if self.waiting.pop(id(node), None) is None:
            return
        lists = list(_lists_around(node))
        for part in (node, *lists):
            for inner in list(part.walk()):
                if inner is not node and id(inner) in self.waiting:
                    self._guard(inner)
        if _doubles(node):
            self._guard_reduced(node)
        elif isinstance(node, exp.GenerateSeries):
            self._guard_series(node, lists)
        elif _name(node) in _WIDTHS:
            self._guard_format(node)
        elif (sized := _sized(node)) is not None:
            self._guard_size(sized, lists)

    def _copy(self, node: exp.Expr) -> exp.Expr:
        self.copied += sum(1 for _ in node.walk())
        if self.copied > _MOST_COPIED:
            message = "texts or lists made of texts or lists that are made are nested too deeply"
            raise ExpressionError(message, hint="split it over several derive steps")
        return exp.paren(node.copy(), copy=False)

    def _guard_size(self, sized: _Sized, lists: list[exp.Expr]) -> None:
        size = _number(sized.size)
        if size is not None and (size <= 1 or (sized.unit is None and (not lists or size <= _MOST_PER_ELEMENT))):
            return
        if size is not None and isinstance(sized.unit, exp.Literal) and not lists:
            return
        parts = [self._copy(sized.size), *self._lengths(lists)]
        if sized.unit is not None:
            parts.append(_call("length", exp.cast(self._copy(sized.unit), "VARCHAR")))
        too_much = exp.GT(this=_product(parts), expression=_whole(sized.most))
        guarded = exp.Case(ifs=[exp.If(this=too_much, true=_no(sized.told, self._copy(sized.size), sized.kind))])
        guarded.set("default", sized.size.copy())
        sized.size.replace(guarded)

    def _guard_series(self, node: exp.GenerateSeries, lists: list[exp.Expr]) -> None:
        start, end, step = node.args["start"], node.args["end"], node.args.get("step")
        if not lists and all(_number(one) is not None for one in (start, end, *([step] if step else []))):
            return
        told = f"a list of more than {MOST_ELEMENTS} elements"
        most: exp.Expr = _whole(MOST_ELEMENTS)
        if lists:
            most = _call("greatest", exp.IntDiv(this=most, expression=_product(self._lengths(lists))), _whole(1))
        if step is None:
            # In the largest whole number there is: no type of the ends is left by their distance.
            first, until = (exp.cast(self._copy(one), "HUGEINT") for one in (start, end))
            many: exp.Expr = exp.GT(this=exp.Sub(this=until, expression=first), expression=most)
            guarded = exp.Case(ifs=[exp.If(this=many, true=_no(told, self._copy(end), "BIGINT"))])
            guarded.set("default", end.copy())
            end.replace(guarded)
            return
        # Whether numbers, dates or times: the end lies beyond so many steps, in the direction of the step. Where they
        # leave the type, no end is twice as far.
        steps = exp.Mul(this=self._copy(step), expression=exp.paren(most))
        last = exp.Try(this=exp.Add(this=self._copy(start), expression=steps))
        none = exp.Sub(this=self._copy(step), expression=self._copy(step))
        beyond = [
            exp.And(
                this=way(this=self._copy(end), expression=exp.paren(last.copy())),
                expression=way(this=self._copy(step), expression=exp.paren(none.copy())),
            )
            for way in (exp.GT, exp.LT)
        ]
        many = exp.Or(this=exp.paren(beyond[0]), expression=exp.paren(beyond[1]))
        once = exp.Case(ifs=[exp.If(this=many, true=_no(told, self._copy(end), "BIGINT"))], default=_whole(1))
        step.replace(exp.Mul(this=exp.paren(step.copy()), expression=exp.paren(once)))

    def _guard_format(self, node: exp.Expr) -> None:
        pattern = node.this if isinstance(node, exp.Format) else node.expressions[0]
        if isinstance(pattern, exp.Literal):
            return
        name = _name(node)
        escape, empty = exp.Literal.string(_ESCAPES[name]), exp.Literal.string("")
        plain = _call("replace", self._copy(pattern), escape, empty)
        wide = _call("regexp_matches", plain, exp.Literal.string(_WIDTHS[name]))
        no = exp.cast(_no("a width of more than 9999 characters", self._copy(pattern), "BIGINT"), "VARCHAR")
        pattern.replace(exp.Case(ifs=[exp.If(this=wide, true=no)], default=pattern.copy()))

    def _guard_reduced(self, node: exp.Expr) -> None:
        """What is made of an accumulator twice doubles with each element; it is looked at after each."""
        body = _lambda(node).this
        length = _call("length", exp.cast(self._copy(body), "VARCHAR"))
        many = exp.GT(this=length, expression=_whole(MOST_CHARACTERS))
        told = exp.Literal.string(f"more than {MOST_CHARACTERS} characters")
        asked = exp.Case(ifs=[exp.If(this=many, true=told)], default=exp.Literal.string("1"))
        is_small = exp.EQ(this=exp.cast(asked, "INTEGER"), expression=_whole(1))
        body.replace(exp.Case(ifs=[exp.If(this=is_small, true=body.copy())]))

    def _lengths(self, lists: list[exp.Expr]) -> list[exp.Expr]:
        return [_call("length", self._copy(one)) for one in lists]


# ------------------------------------------------------------------------------------------------------ calls


def _name(node: exp.Expr) -> str:
    if isinstance(node, exp.Format):
        return "format"
    return node.name.lower() if isinstance(node, exp.Anonymous) else ""


def _sized(node: exp.Expr) -> _Sized | None:
    if isinstance(node, exp.Repeat):
        return _Sized(node.args["times"], node.this, "BIGINT")
    if isinstance(node, exp.Pad):
        return _Sized(node.expression, None, "INTEGER")
    name, given = _name(node), node.expressions
    if name in _RESIZES and len(given) > 1:
        return _Sized(given[1], None, "BIGINT", is_list=True)
    if name == "equi_width_bins" and len(given) > 2:
        return _Sized(given[2], None, "BIGINT", is_list=True)
    if name == "bitstring" and len(given) > 1:
        return _Sized(given[1], None, "INTEGER")
    return None


def _written_format(node: exp.Expr) -> exp.Expr | None:
    if _name(node) not in _WIDTHS:
        return None
    pattern = node.this if isinstance(node, exp.Format) else node.expressions[0] if node.expressions else None
    return pattern if isinstance(pattern, exp.Literal) and pattern.is_string else None


def _doubles(node: exp.Expr) -> bool:
    """Whether a fold of a list makes a text or list of its accumulator twice."""
    if not _name(node).endswith("_reduce"):
        return False
    found = next((one for one in node.expressions if isinstance(one, exp.Lambda)), None)
    if found is None or not found.expressions:
        return False
    accumulator = found.expressions[0].name
    times = sum(isinstance(one, exp.Identifier) and one.name == accumulator for one in found.this.walk())
    joins = any(isinstance(one, _JOINERS) or _name(one) in _JOINING for one in found.this.walk())
    return times > 1 and joins


def _lambda(node: exp.Expr) -> exp.Lambda:
    return next(one for one in node.expressions if isinstance(one, exp.Lambda))


def _lists_around(node: exp.Expr) -> Iterator[exp.Expr]:
    """The lists for each of whose elements a call is made; a fold keeps one value only."""
    below, parent = node, node.parent
    while parent is not None:
        if isinstance(below, exp.Lambda) and not _name(parent).endswith("_reduce"):
            yield parent.this if isinstance(parent.this, exp.Expr) else parent.expressions[0]
        if isinstance(parent, exp.Comprehension) and below is not parent.args.get("iterator"):
            yield parent.args["iterator"]
        below, parent = parent, parent.parent


# ------------------------------------------------------------------------------------------------------ numbers


def _number(node: exp.Expr | None) -> int | None:
    """A whole number that is written: `10`, `-1`, `24 * 60`."""
    if isinstance(node, exp.Paren):
        return _number(node.this)
    if isinstance(node, exp.Literal):
        return int(node.name) if node.is_int else None
    if isinstance(node, exp.Neg):
        one = _number(node.this)
        return None if one is None else -one
    if isinstance(node, exp.Mul | exp.Add | exp.Sub):
        one, other = _number(node.this), _number(node.expression)
        if one is None or other is None:
            return None
        return one * other if isinstance(node, exp.Mul) else one + other if isinstance(node, exp.Add) else one - other
    return None


def _no(told: str, value: exp.Expr, kind: str) -> exp.Expr:
    """What is no number, and says why."""
    return exp.cast(exp.DPipe(this=exp.Literal.string(f"{told}: "), expression=value), kind)


def _whole(number: int) -> exp.Expr:
    return exp.cast(exp.Literal.number(number), "BIGINT")


def _product(parts: list[exp.Expr]) -> exp.Expr:
    found = parts[0]
    for part in parts[1:]:
        found = exp.Mul(this=found, expression=part)
    return exp.paren(found)


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    written = ", ".join(one.sql(dialect="duckdb", comments=False) for one in arguments)
    return read_duckdb(f"{name}({written})")
