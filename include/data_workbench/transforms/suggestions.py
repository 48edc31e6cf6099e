"""Which column of one stream is likely meant by which of another: a mapping to begin with, to be read by a person.

Three things are looked at, each from 0 to 1: the names (words, abbreviations, order), the types (or how many sampled
texts can be read as the target's type), and the sampled values (how many stand on the other side, and how many are of
the same shape). No value is shown. A column is given to one target, the best pairs first, as in the stable matching of
COMA (Do and Rahm, VLDB 2002), which combines matchers by weight in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.records.types import native_type

if TYPE_CHECKING:
    import duckdb

_NAME, _VALUES, _TYPE = 0.6, 0.25, 0.15
_RUN = re.compile(r"[^\W\d_]+|\d+")
_SHORT = {
    "no": "number", "nr": "number", "num": "number", "desc": "description", "descr": "description", "qty": "quantity",
    "amt": "amount", "cat": "category", "dt": "date", "ts": "timestamp", "addr": "address", "tel": "phone",
    "mfr": "manufacturer", "manuf": "manufacturer", "vendor": "supplier", "wt": "weight", "len": "length",
    "temp": "temperature", "ref": "reference", "req": "requirement", "ident": "identifier", "id": "identifier",
    "uid": "identifier", "uuid": "identifier", "key": "identifier", "max": "maximum", "min": "minimum",
    "avg": "average", "cnt": "count", "loc": "location", "org": "organisation", "mail": "email", "txt": "text",
    "val": "value", "pos": "position", "prio": "priority", "stat": "status", "state": "status", "title": "name",
    "label": "name", "cost": "price", "created": "creation", "updated": "change", "modified": "change",
}  # fmt: skip
"""What engineers shorten, or call differently; both sides are brought to the word on the right."""


@dataclass(frozen=True)
class Suggestion:
    """A pair. `score` is from 0 to 1; `type` is what the value has to be cast to, if to anything."""

    target: str
    source: str
    score: float
    name: float
    types: float
    values: float | None
    type: str | None


def suggest(source: pa.Table, target: pa.Table, *, least: float = 0.5) -> list[Suggestion]:
    """Pairs of at least this score, in the order of the target's columns; a column stands in one pair at most.

    Args:
        source, target: samples; one without rows is judged by its names and types.
    """
    import duckdb

    with duckdb.connect() as engine:
        kinds = _kinds(engine, target.schema)
        pairs = [
            _pair(engine, source, target, ours, theirs, kinds[theirs])
            for theirs in target.schema.names
            for ours in source.schema.names
        ]
    taken: dict[str, Suggestion] = {}
    used: set[str] = set()
    for pair in sorted(pairs, key=lambda one: (not _is_called_so(one), -one.score, one.target, one.source)):
        if pair.score >= least and pair.target not in taken and pair.source not in used:
            taken[pair.target] = pair
            used.add(pair.source)
    return [taken[name] for name in target.schema.names if name in taken]


def _is_called_so(pair: Suggestion) -> bool:
    """Whether the names say the same: values that happen to stand on both sides do not go before that."""
    return pair.name == 1 and pair.types > 0


def _kinds(engine: duckdb.DuckDBPyConnection, schema: pa.Schema) -> dict[str, str]:
    """The type names of the language, by column."""
    told = engine.from_arrow(schema.empty_table()).types
    names = (str(kind).lower().replace("timestamp with time zone", "timestamptz") for kind in told)
    found = dict(zip(schema.names, names, strict=True))
    return found | {item.name: "uuid" for item in schema if native_type(item) == "uuid"}


def _pair(
    engine: duckdb.DuckDBPyConnection, source: pa.Table, target: pa.Table, ours: str, theirs: str, kind: str
) -> Suggestion:
    have, want = source.column(ours), target.column(theirs)
    name, values = name_score(ours, theirs), value_score(have, want)
    types = type_score(engine, have, want.type, kind)
    weights = [(_NAME, name), (_TYPE, types)] + ([(_VALUES, values)] if values is not None else [])
    score = sum(weight * one for weight, one in weights) / sum(weight for weight, _ in weights)
    if types == 0:
        score /= 3  # hardly ever meant
    is_same = have.type.equals(want.type) and (kind != "uuid" or native_type(source.schema.field(ours)) == "uuid")
    cast = None if is_same else kind
    return Suggestion(theirs, ours, round(score, 3), round(name, 3), round(types, 3), values, cast)


def name_score(ours: str, theirs: str) -> float:
    """How alike two names are: the words they share, each by its closest on the other side, and the whole."""
    one, other = words(ours), words(theirs)
    if not one or not other:
        return float(ours == theirs)
    if one == other:
        return 1.0
    each = [max(_alike(a, b) for b in other) for a in one] + [max(_alike(a, b) for a in one) for b in other]
    return 0.7 * sum(each) / len(each) + 0.3 * _alike("".join(one), "".join(other))


def words(name: str) -> list[str]:
    """Its words in small letters, singular, abbreviations spelled out."""
    found = [word.lower() for run in _RUN.findall(name) for word in _parts(run)]
    single = [
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word
        for word in found
    ]
    return [_SHORT.get(word, word) for word in single]


def _parts(run: str) -> Iterator[str]:
    """The words of letters that stand together, in any script: HTTPStatus is HTTP and Status."""
    begin = 0
    for place in range(1, len(run)):
        ends = not run[place - 1].isupper() or run[place + 1 : place + 2].islower()
        if run[place].isupper() and ends:
            yield run[begin:place]
            begin = place
    yield run[begin:]


def _alike(one: str, other: str) -> float:
    ratio = SequenceMatcher(None, one, other, autojunk=False).ratio()
    return ratio if ratio > 0.6 else 0.0  # a few letters in common mean nothing


def type_score(engine: duckdb.DuckDBPyConnection, have: pa.ChunkedArray, want: pa.DataType, name: str) -> float:
    """1 for types that hold each other's values; of texts, how many can be read as the target's type."""
    kind = have.type
    if kind.equals(want) or (_family(kind) and _family(kind) == _family(want)):
        return 1.0
    if _family(want) == "text":
        return 0.6
    if _family(kind) == "text" and _family(want) and have.null_count < len(have):
        return _readable(engine, have, name)
    return 0.4 if _family(kind) == "text" and have.null_count == len(have) else 0.0


def _family(kind: pa.DataType) -> str:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_boolean(kind):
        return "boolean"
    return "time" if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else ""


def _readable(engine: duckdb.DuckDBPyConnection, have: pa.ChunkedArray, kind: str) -> float:
    engine.register("sample", pa.table({"v": have.drop_null()}))
    query = f"SELECT avg(CAST(TRY_CAST(v AS {kind}) IS NOT NULL AS INTEGER)) FROM sample"
    [(share,)] = engine.execute(query).fetchall()
    engine.unregister("sample")
    return round(float(share), 3) if share is not None else 0.0


def value_score(have: pa.ChunkedArray, want: pa.ChunkedArray) -> float | None:
    """How many of the values stand on the other side, or at least are of a shape that does; None if a side has none."""
    one, other = _texts(have), _texts(want)
    if not one or not other:
        return None
    same = len(one & other) / min(len(one), len(other))
    shapes, others = set(map(_shape, one)), set(map(_shape, other))
    return round(max(same, 0.6 * len(shapes & others) / len(shapes | others)), 3)


def _texts(values: pa.ChunkedArray) -> set[str]:
    if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
        return set()
    return {str(value) for value in pc.unique(values.drop_null()).to_pylist()}


def _shape(text: str) -> str:
    return re.sub(r"(.)\1+", r"\1+", re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text[:60])))


def as_lines(found: Sequence[Suggestion], target: Sequence[str], source: Sequence[str]) -> Iterator[str]:
    """The lines of a `map` step, and what was not paired as comments."""
    yield "map:"
    paired = {one.target: one for one in found}
    for name in target:
        one = paired.get(name)
        if one is None:
            yield f"  # - {{target: {yaml_word(name)}}}  # nothing like it"
            continue
        cast = f', type: "{one.type}"' if one.type else ""
        yield f'  - {{target: {yaml_word(name)}, from: {yaml_word(one.source)}{cast}, note: "score {one.score:.2f}"}}'
    left = [name for name in source if name not in {one.source for one in found}]
    if left:
        yield f"  # not used: {', '.join(map(yaml_word, left))}"


def yaml_word(name: str) -> str:
    """A name as YAML takes it, quoted where it would be something else."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in _YAML else yaml_text(name)


def yaml_text(text: str) -> str:
    """A text in double quotes, on one line; JSON's pairs of surrogates are no letters to YAML."""
    return f'"{"".join(map(_quoted_sign, text))}"'


def _quoted_sign(sign: str) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    return sign if sign.isprintable() else f"\\U{ord(sign):08x}"


_YAML = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
