"""Statements that a destination runs before and after a load, and how params get into them: bound, never pasted.

A statement is in the store's own language. `$name` stands for a param where it is code: in texts, quoted names,
comments and dollar-quoted bodies a `$` is what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Language = Literal["sql", "cypher"]

_COMMON = r"\"(?:[^\"]|\"\")*\"|/\*.*?\*/|`[^`]*`"
_AFTER = r"|(?<![\w$])\$(?P<name>[a-z][a-z0-9_]*)\b|(?P<end>;)|(?P<percent>%)"
_CODE: Final[Mapping[Language, re.Pattern[str]]] = {
    "sql": re.compile(
        rf"[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|{_COMMON}|--[^\n]*|\$\$.*?\$\$"
        rf"|\$(?P<tag>[A-Za-z_]\w*)\$.*?\$(?P=tag)\${_AFTER}",
        re.DOTALL,
    ),
    "cypher": re.compile(rf"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|{_COMMON}|//[^\n]*{_AFTER}", re.DOTALL),
}
"""What is no code, and of the code a param, the end of a statement and a percent sign."""
_OWN: Final = frozenset({
    "abort", "begin", "cluster", "commit", "end", "listen", "prepare", "release", "rollback", "savepoint", "start",
    "use", "vacuum",
})  # fmt: skip
"""First words of what would end the transaction a hook runs in, or cannot run in one."""


@dataclass(frozen=True)
class Hook:
    """One statement with the params it names."""

    language: Language
    statement: str
    params: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoundHook:
    """A hook with the values of its params in this run."""

    hook: Hook
    values: Mapping[str, Any]


def params_of(language: Language, statement: str) -> tuple[str, ...]:
    """Names of the params in a statement, each once."""
    return tuple(dict.fromkeys(found["name"] for found in _CODE[language].finditer(statement) if found["name"]))


def refusal(language: Language, statement: str) -> str | None:
    """Why a statement cannot be a hook; None if it can."""
    body = statement.strip()
    ends = [found.start() for found in _CODE[language].finditer(body) if found["end"]]
    if any(body[place + 1 :].strip() for place in ends):
        return "a hook is one statement; write a list of them"
    bare = re.sub(r"^(\s|(--|//)[^\n]*\n|/\*.*?\*/)*", "", body, flags=re.DOTALL)
    word = re.match(r"[A-Za-z]+", bare)
    if not bare:
        return "there is no statement"
    if word is not None and word[0].lower() in _OWN:
        return f"{word[0].upper()} would end the transaction that the hook is part of, or cannot run in one"
    return None


def for_psycopg(statement: str) -> str:
    """A statement with params as psycopg takes them: `%(name)s`, and every other % doubled."""

    def written(found: re.Match[str]) -> str:
        if found["name"]:
            return f"%({found['name']})s"
        return found[0].replace("%", "%%")

    return _CODE["sql"].sub(written, statement)


def values_of(hook: Hook, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a hook's params; one that was not given is null."""
    return {name: values.get(name) for name in hook.params}
