"""Steps that make values of a row's own values, by ways a person need not write in SQL: normalise, hash, mask,
pseudonymise, surrogate_key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from data_workbench.errors import TransformError
from data_workbench.records.names import literal, quoted
from data_workbench.records.uuids import NAMESPACES
from data_workbench.transforms.computing import Made, make_columns
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape
from data_workbench.transforms.secrets import secret_sql
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_values import Hash, Mask, Normalise
from data_workbench.transforms.verbs import distinct_names, known

_SPACE = r"[\s\p{Z}\x{FEFF}]+"
"""What counts as white space: RE2's \\s knows ASCII only."""
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def as_text(column: str) -> str:
    """SQL of a column as text."""
    return f"CAST({quoted(column)} AS VARCHAR)"


def joined(columns: Iterable[str]) -> str:
    """SQL of several values as one text from which each can be told again: its length stands before a value."""
    parts = [f"coalesce(length({as_text(one)}) || ':' || {as_text(one)}, '-')" for one in columns]
    return " || ".join(parts)


def _text_columns(step: str, names: Iterable[str], shape: Shape, what: str) -> None:
    known(step, names, shape, what)
    for name in names:
        if shape.columns[name].type != "VARCHAR":
            raise TransformError(
                f"{step}: {what} {name}: it is {shape.columns[name].type.lower()}, not text", hint="cast it before"
            )


def normalise_texts(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.normalise
    assert rule is not None
    _text_columns(step.name, rule.columns, shape, "normalise")
    made = [
        Made(
            name=name,
            sql=_normalised(quoted(name), rule),
            column=Column("VARCHAR", None, shape.origins_of([name], "TRANSFORMATION", "normalise")),
        )
        for name in rule.columns
    ]
    return make_columns(build, step.name, shape, source, made)


def _normalised(sql: str, rule: Normalise) -> str:
    if rule.accents == "strip":
        sql = f"strip_accents({sql})"
    if rule.unicode:
        sql = f"nfc_normalize({sql})"
    if rule.whitespace == "collapse":
        sql = f"trim(regexp_replace({sql}, {literal(_SPACE)}, ' ', 'g'))"
    elif rule.whitespace == "trim":
        ends = f"^{_SPACE}|{_SPACE}$"
        sql = f"regexp_replace({sql}, {literal(ends)}, '', 'g')"
    if rule.case != "keep":
        sql = f"{rule.case}({sql})"
    return sql if rule.empty == "keep" else f"nullif({sql}, '')"


def digest_sql(rule: Hash) -> str:
    """The digest of a row's values."""
    return f"{rule.method}({joined(rule.columns)})"


def hash_columns(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.hash
    assert rule is not None
    known(step.name, rule.columns, shape, "hash")
    distinct_names(step.name, dict.fromkeys([*shape.columns, rule.into]))
    origins = shape.origins_of(rule.columns, "TRANSFORMATION", rule.method)
    made = Made(rule.into, digest_sql(rule), Column("VARCHAR", None, origins))
    return make_columns(build, step.name, shape, source, [made])


def mask_texts(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """What is no longer than the characters that stay is masked as a whole."""
    rule = step.mask
    assert rule is not None
    known(step.name, rule.columns, shape, "mask")
    made = [
        Made(name, mask_sql(rule, name), Column("VARCHAR", None, shape.origins_of([name], "TRANSFORMATION", "mask")))
        for name in rule.columns
    ]
    return make_columns(build, step.name, shape, source, made)


def mask_sql(rule: Mask, column: str) -> str:
    """A column's text with signs in the place of its characters."""
    text, stay = as_text(column), rule.first + rule.last
    hidden = f"repeat({literal(rule.sign)}, length({text}) - {stay})"
    ends = f"left({text}, {rule.first}) || {hidden} || {f'right({text}, {rule.last})' if rule.last else literal('')}"
    return f"CASE WHEN length({text}) > {stay} THEN {ends} ELSE repeat({literal(rule.sign)}, length({text})) END"


def pseudonymise(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """HMAC-SHA256 (RFC 2104) written in SQL: the key's two blocks are variables of the engine, set when it runs."""
    rule = step.pseudonymise
    assert rule is not None
    known(step.name, rule.columns, shape, "pseudonymise")
    name = rule.secret or ""
    build.secrets[name] = None
    inner, outer = secret_sql(name)
    made = []
    for column in rule.columns:
        digest = f"sha256({outer} || unhex(sha256({inner} || encode({as_text(column)}))))"
        sql = digest if rule.form == "hex" else f"list_transform([{digest}], lambda h: {_UUID8})[1]"
        origins = shape.origins_of([column], "TRANSFORMATION", "pseudonymise")
        made.append(Made(column, sql, Column("VARCHAR", None, origins), is_one_to_one=True))
    return make_columns(build, step.name, shape, source, made)


_UUID8 = (
    "substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-8' || substr(h, 14, 3) || '-' || "
    "substr('89ab', (instr('0123456789abcdef', substr(h, 17, 1)) - 1) % 4 + 1, 1) || substr(h, 18, 3) || '-' "
    "|| substr(h, 21, 12)"
)
"""RFC 9562, version 8: bits of one's own choice."""


def surrogate_key(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """Of one column the key is the UUIDv5 of its text, as other tools compute it; several are joined with lengths."""
    import pyarrow as pa

    from data_workbench.records.types import with_native

    rule = step.surrogate_key
    assert rule is not None
    known(step.name, rule.of, shape, "surrogate_key of")
    distinct_names(step.name, dict.fromkeys([*shape.columns, rule.into]))
    if not is_namespace(rule.namespace):
        raise TransformError(f"{step.name}: surrogate_key: namespace {rule.namespace!r} is neither a UUID nor known")
    name = as_text(rule.of[0]) if len(rule.of) == 1 else joined(rule.of)
    absent = " OR ".join(f"{quoted(one)} IS NULL" for one in rule.of)
    made = Made(
        name=rule.into,
        sql=f"CASE WHEN NOT ({absent}) THEN uuid5({literal(rule.namespace)}, {name}) END",
        column=Column(
            "VARCHAR",
            with_native(pa.field(rule.into, pa.string()), "uuid"),
            shape.origins_of(rule.of, "TRANSFORMATION", "surrogate_key"),
        ),
        rule="surrogate_key",
        failed=lambda _: f"({absent})",
        reason=literal(f"a column of the key is NULL ({', '.join(rule.of)})"),
    )
    return make_columns(build, step.name, shape, source, [made])


def is_namespace(text: str) -> bool:
    """Whether UUIDv5 can be made in it."""
    return text.lower() in NAMESPACES or _UUID.fullmatch(text) is not None
