"""`transformation_rules` of ODRAS as SQL. ODRAS gives them no form, so what is plain is read, and the rest is told.

A rule is a word (`trim`), an object that names it (`{"type": "unit", "from": "lb", "to": "kg"}`), an object of one key
(`{"default": 0}`), or a list of these, which are done one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from data_workbench.pipelines.importing.vocabulary import NotCarried
from data_workbench.records.names import literal, quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.transforms.units import conversion

Arguments = Mapping[str, Any]
_NAMES: Final = ("type", "rule", "transform", "operation", "function", "name")
"""Keys that may name the rule of an object."""
_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("int", "integer", "toint", "tointeger", "long", "bigint"), "bigint"),
    **dict.fromkeys(("float", "double", "number", "decimal", "numeric", "tofloat", "tonumber"), "number"),
    **dict.fromkeys(("bool", "boolean", "tobool", "toboolean"), "boolean"),
    **dict.fromkeys(("string", "text", "str", "tostring"), "text"),
    **dict.fromkeys(("date", "todate"), "date"),
    **dict.fromkeys(("datetime", "timestamp", "todatetime"), "timestamp"),
}


@dataclass
class Value:
    """What a line of a mapping gives, while rules are read.

    Args:
        sql: None as long as it is the field as it comes.
    """

    source: str
    sql: str | None = None
    type: str | None = None
    default: str | int | float | bool | None = None

    def now(self) -> str:
        """SQL of what the rules so far have made."""
        sql = self.sql or quoted(self.source)
        return sql if self.type is None else f"CAST({sql} AS {canonical_type(self.type)})"

    def becomes(self, sql: str) -> None:
        """Put SQL over `now` in its place."""
        self.sql, self.type = sql, None


def apply_rules(value: Value, rules: Any) -> None:
    """Do what rules say to a value. Raises NotCarried at the first that is not plain."""
    for name, arguments in _each(rules):
        word = re.sub(r"[^a-z]", "", name.lower())
        if word in _TYPES:
            value.type = _cast(value, _TYPES[word])
            continue
        do = _RULES.get(word)
        if do is None:
            raise NotCarried(f"the rule {name!r} has no counterpart")
        do(value, arguments)


def _each(rules: Any) -> Iterator[tuple[str, Arguments]]:
    if isinstance(rules, str):
        yield rules, {}
    elif isinstance(rules, list):
        for one in rules:
            yield from _each(one)
    elif isinstance(rules, Mapping):
        named = next((key for key in _NAMES if isinstance(rules.get(key), str)), None)
        if named is not None:
            yield rules[named], {key: value for key, value in rules.items() if key != named}
            return
        for key, given in rules.items():
            if given is not False:
                yield key, given if isinstance(given, Mapping) else {"value": given}
    elif rules is not None:
        raise NotCarried(f"{rules!r} is no rule")


def _cast(value: Value, kind: str) -> str:
    if value.type is not None:
        value.becomes(value.now())
    return kind


def _given(arguments: Arguments, *names: str, what: str) -> Any:
    for name in names:
        if arguments.get(name) is not None:
            return arguments[name]
    raise NotCarried(f"{what} says no {names[0]}")


def _number(arguments: Arguments, *names: str, what: str) -> str:
    found = _given(arguments, *names, what=what)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise NotCarried(f"{what}: {found!r} is no number")
    return repr(found)


def _of_text(template: str) -> Callable[[Value, Arguments], None]:
    return lambda value, _: value.becomes(template.format(value.now()))


def _framed(value: Value, arguments: Arguments, *, before: bool) -> None:
    text = literal(str(_given(arguments, "value", "text", what="prefix" if before else "suffix")))
    value.becomes(f"{text} || {value.now()}" if before else f"{value.now()} || {text}")


def _replaced(value: Value, arguments: Arguments) -> None:
    old = _given(arguments, "from", "old", "find", "search", what="replace")
    new = arguments.get("to", arguments.get("new", arguments.get("with", arguments.get("replacement", ""))))
    value.becomes(f"replace({value.now()}, {literal(str(old))}, {literal(str(new))})")


def _scaled(value: Value, arguments: Arguments) -> None:
    factor = _number(arguments, "value", "by", "factor", what="multiply")
    value.becomes(f"CAST({value.now()} AS DOUBLE) * {factor}")


def _moved(value: Value, arguments: Arguments) -> None:
    offset = _number(arguments, "value", "by", "offset", what="add")
    value.becomes(f"CAST({value.now()} AS DOUBLE) + {offset}")


def _converted(value: Value, arguments: Arguments) -> None:
    units = [str(_given(arguments, name, f"{name}_unit", what="unit")) for name in ("from", "to")]
    try:
        factor, shift, _ = conversion(*units)
    except ValueError as error:
        raise NotCarried(str(error)) from None
    scaled = f"CAST({value.now()} AS DOUBLE) * {factor:.15g}"  # pint's last digit is its own
    value.becomes(f"{scaled} + {shift:.15g}" if shift else scaled)


def _translated(value: Value, arguments: Arguments) -> None:
    pairs = next((one for key in ("values", "mapping", "map") if isinstance(one := arguments.get(key), Mapping)), None)
    pairs = pairs or {key: one for key, one in arguments.items() if key not in ("value", "default")}
    if not pairs or any(isinstance(one, Mapping | list) for one in pairs.values()):
        raise NotCarried("a table of values names none")
    arms = " ".join(f"WHEN {literal(str(old))} THEN {literal(str(new))}" for old, new in pairs.items())
    given = f"CAST({value.now()} AS VARCHAR)"
    other = literal(str(arguments["default"])) if arguments.get("default") is not None else given
    value.becomes(f"CASE {given} {arms} ELSE {other} END")


def _defaulted(value: Value, arguments: Arguments) -> None:
    found = _given(arguments, "value", "default", what="default")
    if not isinstance(found, str | int | float | bool):
        raise NotCarried(f"the default {found!r} is no single value")
    value.default = found


def _computed(value: Value, arguments: Arguments) -> None:
    value.becomes(str(_given(arguments, "value", "expression", "sql", what="expression")))


def _cast_to(value: Value, arguments: Arguments) -> None:
    wanted = re.sub(r"[^a-z]", "", str(_given(arguments, "to", "value", "as", what="cast")).lower())
    if wanted not in _TYPES:
        raise NotCarried(f"there is no type {wanted!r}")
    value.type = _cast(value, _TYPES[wanted])


_RULES: Final[Mapping[str, Callable[[Value, Arguments], None]]] = {
    **dict.fromkeys(("trim", "strip"), _of_text("trim({0})")),
    **dict.fromkeys(("lower", "lowercase", "tolower"), _of_text("lower({0})")),
    **dict.fromkeys(("upper", "uppercase", "toupper"), _of_text("upper({0})")),
    **dict.fromkeys(("cast", "convert", "astype"), _cast_to),
    **dict.fromkeys(("default", "defaultvalue"), _defaulted),
    "prefix": lambda value, arguments: _framed(value, arguments, before=True),
    "suffix": lambda value, arguments: _framed(value, arguments, before=False),
    "replace": _replaced,
    **dict.fromkeys(("multiply", "scale", "factor"), _scaled),
    **dict.fromkeys(("add", "offset"), _moved),
    **dict.fromkeys(("unit", "units", "unitconversion", "convertunit", "convertunits"), _converted),
    **dict.fromkeys(("map", "mapping", "values", "valuemap", "enum", "lookup", "translate"), _translated),
    **dict.fromkeys(("expression", "sql"), _computed),
}
