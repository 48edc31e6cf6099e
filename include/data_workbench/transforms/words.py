"""The words of a SQL expression: how many, how deep, and which functions they call.

Functions are checked by the names written, not by the tree sqlglot makes of them, which folds several names into one.
"""

from __future__ import annotations

import sqlglot
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType

from data_workbench.records.names import near_names
from data_workbench.records.type_names import NAMES
from data_workbench.transforms.functions import AGGREGATES, REFUSED, SCALARS, WINDOWS, words

_MOST_CHARACTERS = 10_000
_MOST_TOKENS = 4_000
_MOST_BRACKETS = 500
_DEEPEST = 24  # brackets; sqlglot needs about 20 Python frames for each

_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_VALUES = {TokenType.STRING, TokenType.NUMBER, TokenType.PARAMETER}
# Words before a bracket that are grammar, not the name of a function.
_GRAMMAR = words(
    """
    and or not in is as case when then else between like ilike glob similar to escape over filter where by distinct
    from for using interval within group order on any all some collate zone at separator lambda partition exists end
    """
)
_QUERY_GRAMMAR = words("select join having qualify union except intersect limit offset window")
_STATEMENTS = words(
    """
    insert update delete create drop alter copy attach detach install load pragma set export import truncate merge
    values with from table pivot unpivot call vacuum
    """
)


class ExpressionError(ValueError):
    """An expression is refused; `line` and `column` count from 1 within the expression."""

    def __init__(self, message: str, *, hint: str | None = None, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.line = line
        self.column = column


def read_tokens(sql: str, what: str, *, is_query: bool = False) -> list[Token]:
    """The tokens of an expression, or of a query, after a look at size and depth."""
    if len(sql) > _MOST_CHARACTERS:
        raise ExpressionError(f"{what} has {len(sql)} characters; at most {_MOST_CHARACTERS} are read")
    if "\x00" in sql:
        raise ExpressionError(f"{what} has a NUL character")
    try:
        tokens = sqlglot.tokenize(sql, read="duckdb")
    except TokenError:
        raise ExpressionError(f"{what} is not a SQL expression: a quote is not closed") from None
    if not tokens:
        raise ExpressionError(f"{what} is empty")
    if len(tokens) > _MOST_TOKENS:
        raise ExpressionError(f"{what} has {len(tokens)} words; at most {_MOST_TOKENS} are read")
    if sum(token.token_type in _OPENING for token in tokens) > _MOST_BRACKETS:
        raise ExpressionError(f"{what} has more than {_MOST_BRACKETS} brackets", hint="use several derive steps")
    _refuse_tokens(tokens, what, is_query=is_query)
    return tokens


def _refuse_tokens(tokens: list[Token], what: str, *, is_query: bool) -> None:
    """Words and signs that no expression needs, or that DuckDB and sqlglot read differently."""
    level, before = 0, ""
    for token in tokens:
        level += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        if level > _DEEPEST:
            raise _at(token, f"{what} is nested more than {_DEEPEST} brackets deep", hint="use several derive steps")
        is_select = token.token_type is TokenType.SELECT or (token.token_type is TokenType.FROM and before == "(")
        if is_select and not is_query:
            raise _at(token, f"{what} is one expression, without statements or subqueries; here {token.text.lower()!r}")
        before = token.text
        is_bang = token.text == "!" and token.token_type is not TokenType.STRING
        if is_bang or token.token_type is TokenType.TILDE:
            # DuckDB 2 reads ~ as a partial match and a trailing ! as factorial, sqlglot as neither.
            raise _at(
                token,
                f"{what}: operator {token.text!r} is not read",
                hint="write regexp_matches(…), not, or factorial(…)",
            )
        if token.token_type is TokenType.HASH:
            raise _at(token, f"{what}: columns are named, not counted by '#'")
        if token.token_type is TokenType.ARRAY:
            # sqlglot loses the ARRAY of `integer array`, and `array[1]` says no more than `[1]`.
            raise _at(token, f"{what}: 'array' is not read", hint="write integer[] for the type, [1, 2] for the value")
        if token.token_type is TokenType.SEMICOLON:
            one = "query" if is_query else "expression"
            raise _at(token, f"{what} is one {one}; a ';' would begin another statement")


def check_functions(
    tokens: list[Token], *, allow_aggregates: bool, allow_windows: bool = False, is_query: bool = False, what: str
) -> frozenset[str]:
    """The names called, each of them listed."""
    called = set()
    grammar = _GRAMMAR | _QUERY_GRAMMAR if is_query else _GRAMMAR
    for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
        if after is None or after.token_type is not TokenType.L_PAREN or not _is_name(token):
            continue
        name = token.text.lower()
        if before is not None and before.token_type is TokenType.DOT:
            raise _at(token, f"{what}: {token.text!r} is called after a dot", hint=f"write {name}(value, …)")
        if token.token_type is not TokenType.IDENTIFIER and name in grammar and name not in REFUSED:
            continue
        if before is not None and before.token_type in (TokenType.DCOLON, TokenType.ALIAS) and name in NAMES:
            continue  # a type with its size: a::decimal(10,2)
        if not (allow_windows and name in WINDOWS):
            _check_function(token, name, allow_aggregates=allow_aggregates, what=what)
        called.add(name)
    return frozenset(called)


def _is_name(token: Token) -> bool:
    return token.token_type not in _VALUES and (token.text[:1].isalpha() or token.text[:1] == "_")


def _check_function(token: Token, name: str, *, allow_aggregates: bool, what: str) -> None:
    if name in REFUSED:
        raise _at(token, f"{what}: function {name!r} is not allowed: {REFUSED[name]}")
    if name in _STATEMENTS:
        raise _at(token, f"{what} is one expression, without statements or subqueries; here {name!r}")
    if name in WINDOWS:
        raise _at(token, f"{what}: window function {name!r} is not allowed", hint=WINDOW_HINT)
    if name in AGGREGATES and not allow_aggregates:
        raise _at(
            token, f"{what}: {name!r} folds many rows into one", hint="use an aggregate step, or list_" + name + "(…)"
        )
    if name not in SCALARS and name not in AGGREGATES and name not in ("struct", *NAMES):
        known = SCALARS | AGGREGATES if allow_aggregates else SCALARS
        raise _at(token, f"{what}: unknown function {name!r}", hint=near_names(name, known))


WINDOW_HINT = "windows need all rows at once; use a window step"


def _at(token: Token, message: str, *, hint: str | None = None) -> ExpressionError:
    column = token.col - (token.end - token.start)
    return ExpressionError(message, hint=hint, line=token.line, column=max(column, 1))
