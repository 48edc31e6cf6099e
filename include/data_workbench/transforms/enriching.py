"""Steps that ask the outside about rows: enrich, embed.

Each different question is asked once, before the frame is read; the answers stand in a table that the frame is joined
with, as a lookup's rows do. Who is asked, and how, is the enrichment room's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from data_workbench.embedding import check_model
from data_workbench.enrichment.answers import REASON, STATE, SURE
from data_workbench.enrichment.spec import CONFIDENCE, NOTHING, PROVENANCE, UNAVAILABLE, UNUSABLE, Enrich
from data_workbench.errors import TransformError
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.transforms.drafts import Case, Column, Compilation, Draft, Shape, failure, json_object, verdict
from data_workbench.transforms.plan import ALIVE, STATUS, Action, Origin
from data_workbench.transforms.spec import Step
from data_workbench.transforms.text import HIDDEN, select
from data_workbench.transforms.verbs import distinct_names, known


def enrich_rows(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.enrich
    assert rule is not None
    known(step.name, rule.given.values(), shape, "enrich given")
    distinct_names(step.name, dict.fromkeys([*shape.columns, *rule.columns]))
    kinds = _kinds(step.name, rule)
    answers = _Answers(step.name, list(dict.fromkeys(rule.given.values())), shape, source)
    values = {rule.into: _list_of(kinds)} if rule.into is not None else kinds
    wanted = rule.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if rule.cache is not None:
        wanted["cache"] = f"{rule.cache.total_seconds()}s"
    told = f"{rule.connection}:{rule.asks.what}"
    arguments = {
        "wanted": wanted,
        "stream": rule.asks.what,
        "given": {name: list(dict.fromkeys(rule.given.values())).index(column) for name, column in rule.given.items()},
        "table": answers.table,
        "kinds": kinds,
        "fails": (rule.on_failure or "null") == "fail",
    }
    prepare = [
        answers.made({STATE: "VARCHAR", REASON: "VARCHAR", SURE: "DOUBLE", **_placed(values)}),
        Action("enrich", answers.questions, arguments),
    ]
    joined = _joined(shape, source, answers, rule, values, told)
    columns = {**shape.columns, **_columns(step.name, shape, rule, values, told)}
    out = _shape(shape, columns, rule)
    cases = _cases(build, step.name, rule, told)
    prepare += _warnings(step.name, shape, source, answers, rule)
    if not cases:
        return Draft(step.name, out, select(map(quoted, columns), f"({joined})"), prepare=prepare)
    out = replace(out, marks=out.marks or build.holds)
    return Draft(step.name, out, verdict(out, f"({joined})", cases, hold=build.holds, told=shape), prepare=prepare)


def embed_texts(_: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.embed
    assert rule is not None
    known(step.name, [rule.text], shape, "embed text")
    distinct_names(step.name, dict.fromkeys([*shape.columns, rule.into]))
    if shape.columns[rule.text].type != "VARCHAR":
        kind = shape.columns[rule.text].type.lower()
        raise TransformError(f"{step.name}: embed: {rule.text!r} is {kind}, not text", hint="cast it in a step before")
    check_model(rule.model)
    answers = _Answers(step.name, [rule.text], shape, source)
    origins = shape.origins_of([rule.text], "TRANSFORMATION", f"embed by {rule.model}")
    columns = {**shape.columns, rule.into: Column("FLOAT[]", None, origins)}
    names = [f"s.v0 AS {quoted(rule.into)}" if name == rule.into else f"f.{quoted(name)}" for name in columns]
    prepare = [
        answers.made({"v0": "FLOAT[]"}),
        Action("embed", answers.questions, {"model": rule.model, "table": answers.table}),
    ]
    return Draft(step.name, _kept(shape, columns, [rule.into]), answers.joined(source, names), prepare=prepare)


class _Answers:
    """The table of a step's answers: a row for each different question of live rows without a NULL."""

    def __init__(self, step: str, given: Sequence[str], shape: Shape, source: str) -> None:
        self.table = quoted(f"answers_{step}")
        self.asked = {name: shape.columns[name].type in ("UUID", "JSON") for name in given}
        present = " AND ".join([f"{STATUS} = {ALIVE}", *(f"{quoted(name)} IS NOT NULL" for name in given)])
        keys = ", ".join(f"{self._value(name)} AS k{index}" for index, name in enumerate(given))
        self.keys = [f"k{index}" for index in range(len(given))]
        names = ", ".join(self.keys)
        self.empty = f"SELECT {keys} FROM {source} LIMIT 0"
        self.questions = (
            f"SELECT {names} FROM (SELECT {keys}, {ORDINAL} FROM {source} WHERE {present}) "
            f"GROUP BY {names} ORDER BY min({ORDINAL})"
        )

    def _value(self, name: str, prefix: str = "") -> str:
        """A value as it is asked with: UUIDs and JSON as their texts."""
        return f"CAST({prefix}{quoted(name)} AS VARCHAR)" if self.asked[name] else f"{prefix}{quoted(name)}"

    def made(self, columns: Mapping[str, str]) -> Action:
        """Make the table, empty."""
        rest = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns.items())
        return Action("sql", f"CREATE OR REPLACE TEMP TABLE {self.table} AS SELECT *, {rest} FROM ({self.empty})")

    def joined(self, source: str, columns: Sequence[str], *, hidden: Sequence[str] = ()) -> str:
        """The frame with answers beside its rows."""
        pairs = zip(self.asked, self.keys, strict=True)
        on = " AND ".join(f"{self._value(name, 'f.')} = s.{key}" for name, key in pairs)
        parts = [*columns, *(f"f.{name}" for name in HIDDEN), *hidden]
        return f"SELECT {', '.join(parts)} FROM {source} f LEFT JOIN {self.table} s ON {on}"


def _kinds(step: str, rule: Enrich) -> dict[str, str]:
    """DuckDB's type of each value that is taken."""
    kinds = {}
    for name, one in rule.taken.items():
        try:
            kinds[name] = canonical_type(one.type)
        except ValueError as error:
            raise TransformError(f"{step}: enrich take {name}: {error}") from error
    return kinds


def _list_of(kinds: Mapping[str, str]) -> str:
    """A list of structs with a field for each value; texts stand for JSON and UUIDs, as in Arrow."""
    plain = {name: "VARCHAR" if kind in ("JSON", "UUID") else kind for name, kind in kinds.items()}
    return f"STRUCT({', '.join(f'{quoted(name)} {kind}' for name, kind in plain.items())})[]"


def _placed(values: Mapping[str, str]) -> dict[str, str]:
    return {f"v{index}": kind for index, kind in enumerate(values.values())}


def _joined(shape: Shape, source: str, answers: _Answers, rule: Enrich, values: Mapping[str, str], told: str) -> str:
    """Columns of the frame, with the answers' in their places and what tells of them behind."""
    made: dict[str, str] = {}
    for index, name in enumerate(values):
        made[name] = f"s.v{index}"
        if rule.provenance:
            made[name + PROVENANCE] = (
                f"CASE s.{STATE} WHEN 'found' THEN CASE WHEN s.v{index} IS NULL THEN {literal(NOTHING)} "
                f"ELSE {literal(told)} END WHEN 'nothing' THEN {literal(NOTHING)} "
                f"WHEN 'unavailable' THEN {literal(UNAVAILABLE)} WHEN 'wrong' THEN {literal(UNUSABLE)} END"
            )
            made[name + CONFIDENCE] = f"CASE WHEN s.v{index} IS NOT NULL THEN s.{SURE} END"
    columns = [
        *(f"f.{quoted(name)}" for name in shape.columns if name not in made),
        *(f"{sql} AS {quoted(name)}" for name, sql in made.items()),
    ]
    return answers.joined(source, columns, hidden=[f"s.{STATE}", f"s.{REASON}"])


def _columns(step: str, shape: Shape, rule: Enrich, values: Mapping[str, str], told: str) -> dict[str, Column]:
    """The new columns. Each is of the place it is taken from, decided by what was asked."""
    decided = shape.origins_of(rule.given.values(), "CONDITIONAL", told)
    side = f"enrich:{step}"
    found: dict[str, Column] = {}
    for name, kind in values.items():
        taken = list(rule.taken.values()) if rule.into is not None else [rule.taken[name]]
        origins = tuple(Origin(side, one.from_, "TRANSFORMATION", told) for one in taken)
        found[name] = Column(kind, None, (*origins, *decided))
        if rule.provenance:
            sure = (Origin(side, rule.confidence or "score", "TRANSFORMATION", told),) if _is_sure(rule) else ()
            found[name + PROVENANCE] = Column("VARCHAR", None, decided)
            found[name + CONFIDENCE] = Column("DOUBLE", None, (*sure, *decided))
    return found


def _is_sure(rule: Enrich) -> bool:
    """Whether the confidence comes from the answer."""
    return rule.confidence is not None or rule.kind == "nearest"


def _shape(shape: Shape, columns: Mapping[str, Column], rule: Enrich) -> Shape:
    kept = _kept(shape, columns, rule.columns)
    drops = rule.missing == "quarantine" or "quarantine" in (rule.on_failure, rule.on_unavailable)
    decided = shape.origins_of(rule.given.values(), "CONDITIONAL", "enrich") if drops else ()
    return replace(kept, conditions=(*kept.conditions, *decided))


def _kept(shape: Shape, columns: Mapping[str, Column], made: Sequence[str]) -> Shape:
    """The shape with other columns; a key of which one is made anew is none."""
    loses_key = bool(set(shape.key) & set(made))
    return Shape(
        dict(columns),
        () if loses_key else shape.key,
        shape.key_is_unique and not loses_key,
        shape.conditions,
        shape.marks,
    )


def _cases(build: Compilation, step: str, rule: Enrich, told: str) -> list[Case]:
    """What becomes of rows without an answer that can be used."""
    given = " || ', ' || ".join(
        f"{literal(f'{name} = ')} || coalesce(CAST({quoted(name)} AS VARCHAR), 'NULL')" for name in rule.given.values()
    )
    cases: list[Case] = []

    def case(state: str, name: str, words: str) -> None:
        reason = f"{literal(f'{told}: {words} for ')} || left({given}, 400) || coalesce(': ' || {REASON}, '')"
        code = build.drop(step, "quarantined", name)
        cases.append((f"{STATE} = {literal(state)}", code, f"[{failure(name, reason)}]"))

    if rule.on_failure == "quarantine":
        case("wrong", "enrich", "no answer that can be used")
    if rule.on_unavailable == "quarantine":
        case("unavailable", "enrich unavailable", "no answer")
    if rule.missing == "quarantine":
        case("nothing", "enrich missing", "nothing")
    return cases


def _warnings(step: str, shape: Shape, source: str, answers: _Answers, rule: Enrich) -> list[Action]:
    """Rows that go on without an answer are told, with an example; those that are marked are read again."""
    wanted: dict[str, str] = {}
    if rule.on_failure is None or rule.on_failure == "null":
        wanted["wrong"] = "enrich"
    if rule.on_unavailable in ("keep", "mark"):
        wanted["unavailable"] = "enrich unavailable"
    if not wanted:
        return []
    example = json_object(shape.columns, shape.key or list(shape.columns)[:3])
    rows = answers.joined(source, [f"f.{quoted(name)}" for name in shape.columns], hidden=[f"s.{STATE}"])
    parts = []
    for state in wanted:
        where = f"FILTER (WHERE {STATUS} = {ALIVE} AND {STATE} = {literal(state)})"
        parts.append(f"count(*) {where}, arg_min({example}, {ORDINAL}) {where}")
    arguments: dict[str, Any] = {"node": step, "rules": list(wanted.values()), "on_invalid": "warn", "is_step": True}
    if rule.on_unavailable == "mark":
        arguments["marks"] = "enrich unavailable"
    return [Action("count_rules", f"SELECT {', '.join(parts)} FROM ({rows})", arguments)]
