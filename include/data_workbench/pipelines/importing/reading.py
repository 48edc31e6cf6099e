"""A mapping of ODRAS as the lines of a `map` step, and what of it could not be carried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from data_workbench.mapping.iri_prefixes import Prefixes, local_name
from data_workbench.pipelines.importing.ontology import Ontology, PropertyFacts, type_of, understood
from data_workbench.pipelines.importing.renames import Followed, Lost, changes_of
from data_workbench.pipelines.importing.rows import Config, Kept
from data_workbench.pipelines.importing.rules import Value, apply_rules
from data_workbench.pipelines.importing.vocabulary import NotCarried, Vocabulary
from data_workbench.records.names import quoted
from data_workbench.transforms.expressions import ExpressionError, check_expression
from data_workbench.transforms.spec_values import Mapped

_TARGETS = ("property", "target", "target_property", "property_iri", "iri", "to")
_SOURCES = ("source", "source_field", "field", "column", "from")


@dataclass(frozen=True)
class Imported:
    """A mapping as read.

    Args:
        lines: in the order of the fields; their IRIs are whole.
        targets: the column that each field becomes.
        required, values: targets that the ontology wants a value of, and the only values of others.
        lost: what could not be carried; the mapping is whole without any.
        notes: what was chosen where ODRAS says nothing.
    """

    config: Config
    class_iri: str
    vocabulary: Vocabulary
    lines: tuple[Mapped, ...]
    targets: Mapping[str, str]
    required: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    lost: tuple[Lost, ...]
    notes: tuple[str, ...]


def read_mapping(config: Config, kept: Kept, prefixes: Mapping[str, str]) -> Imported:
    """Read a mapping of ODRAS; what cannot be carried is told, never guessed."""
    vocabulary = Vocabulary(config.graph, Prefixes(prefixes))
    reader = _Reader(config, vocabulary, changes_of(kept, graph=config.graph, class_name=config.target_class))
    return reader.read()


@dataclass
class _Reader:
    config: Config
    vocabulary: Vocabulary
    changes: Followed
    lines: dict[str, Mapped] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def read(self) -> Imported:
        config = self.config
        ontology = understood(config.ontology)
        if not config.is_active:
            self.notes.append("ODRAS has switched this mapping off")
        class_iri = self._class(ontology)
        rules = dict(config.rules) if isinstance(config.rules, Mapping) else {}
        if config.rules and not rules:
            self.lost.append(Lost("transformation_rules", "it is no object of rules by field"))
        for source, target, more in self._fields():
            try:
                self._line(source, target, more, rules, ontology)
            except NotCarried as reason:
                self.lost.append(Lost(source, str(reason)))
        for name in rules:
            self.lost.append(Lost(f"transformation_rules.{name}", "it names no field of the mapping"))
        return Imported(
            config, class_iri, self.vocabulary, tuple(self.lines.values()), self.targets, tuple(self.required),
            self.values, tuple(self.lost), tuple(self.notes),
        )  # fmt: skip

    def _class(self, ontology: Ontology) -> str:
        name = self.config.target_class
        try:
            found = self.vocabulary.iri(name)
        except NotCarried as reason:
            self.lost.append(Lost("target_class", str(reason)))
            return ""
        if ontology.classes and local_name(found) not in ontology.classes:
            self.notes.append(f"the ontology's structure has no class {name}")
        return found

    def _fields(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Source field, target property and what else is said, of each entry."""
        given = self.config.fields
        if isinstance(given, Mapping):
            entries: Sequence[tuple[Any, Any]] = list(given.items())
        elif isinstance(given, Sequence) and not isinstance(given, str):
            entries = [(_first(one, _SOURCES), one) for one in given]
        else:
            self.lost.append(Lost("field_mappings", "it is no object of properties by field"))
            return
        for source, said in entries:
            target = said if isinstance(said, str) else _first(said, _TARGETS)
            if not source or not isinstance(target, str) or not target.strip():
                self.lost.append(Lost(str(source or said), "it names no field, or no property"))
                continue
            yield str(source), target.strip(), said if isinstance(said, Mapping) else {}

    def _line(
        self, source: str, target: str, more: Mapping[str, Any], rules: dict[str, Any], ontology: Ontology
    ) -> None:
        named = self.changes.now(target)
        if named != target:
            self.notes.append(f"{target} is {named} now")
        iri = self.vocabulary.iri(named)
        column = self._column(iri)
        facts = self._facts(ontology, column, named)
        value = self._value(source)
        for key in (source, target):
            if key in rules:
                apply_rules(value, rules.pop(key))
        for key in ("transform", "transformation", "rule", "rules"):
            apply_rules(value, more.get(key))
        self._complete(value, more, facts)
        if value.sql is not None:
            _check(value.sql)
        said = {"target": column, "type": value.type, "default": value.default, "iri": iri}
        origin = {"from": value.source} if value.sql is None else {"expression": value.sql}
        try:
            self.lines[column] = Mapped.model_validate(said | origin)
        except ValidationError as error:  # a name or text of ODRAS's that is longer than a step's may be
            [first, *_] = error.errors(include_url=False, include_input=False)
            place = ".".join(map(str, first["loc"])) or "the line"
            raise NotCarried(f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None
        self.targets[source] = column
        if facts.is_required or more.get("required") is True:
            self.required.append(column)
        if facts.values:
            self.values[column] = facts.values

    def _column(self, iri: str) -> str:
        column = local_name(iri)
        taken = self.lines.get(column)
        if taken is not None and taken.iri == iri:
            before = next(name for name, target in self.targets.items() if target == column)
            raise NotCarried(f"{iri} is given by {before} already")
        number = 2
        while column in self.lines:
            column, number = f"{local_name(iri)}_{number}", number + 1
        return column

    def _facts(self, ontology: Ontology, column: str, named: str) -> PropertyFacts:
        found = ontology.facts(self.config.target_class, named)
        if found is None:
            if ontology.properties and ":" not in named:  # another vocabulary's are not in it
                self.notes.append(f"the ontology's structure has no property {named} of {self.config.target_class}")
            return PropertyFacts()
        if found.is_link:
            self.notes.append(f"{named} is an object property: give `link` for {column} in the destination")
        for change in self.changes.others(named):
            self.lost.append(Lost(named, f"property_mappings: {change.kind} {change.old} → {change.new}"))
        return found

    @staticmethod
    def _value(source: str) -> Value:
        """The field as it comes; `$.part.mass` and `part.mass` look into a document."""
        path = source.removeprefix("$.").split(".")
        if len(path) == 1:
            return Value(source.removeprefix("$."))
        inner = "".join(f'."{one}"' for one in path[1:]).replace("'", "''")
        return Value(path[0], f"json_extract_string(to_json({quoted(path[0])}), '${inner}')")

    def _complete(self, value: Value, more: Mapping[str, Any], facts: PropertyFacts) -> None:
        """What the entry and the ontology say of type and default, where no rule did."""
        said = next((str(more[key]) for key in ("type", "datatype", "data_type") if more.get(key)), None)
        if said is not None:
            known = type_of(said)
            if known is None:
                apply_rules(value, {"cast": {"to": said}})
            else:
                value.type = known
        elif value.type is None:
            value.type = facts.type
        if more.get("default") is not None:
            apply_rules(value, {"default": more["default"]})


def _first(said: Any, names: Sequence[str]) -> Any:
    return next((said[name] for name in names if said.get(name)), None) if isinstance(said, Mapping) else None


def _check(sql: str) -> None:
    """Whether an expression could stand in a file. Raises NotCarried."""
    try:
        check_expression(sql, columns=None, params={}, what="map")
    except ExpressionError as error:
        raise NotCarried(f"{sql}: {error.message}") from None
