"""What steps may say that make values of a row out of its other values: parse, normalise, hash, mask, pseudonymise,
surrogate_key, rules, and how a cast fails.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from data_workbench.records.definitions import ColumnName, Columns, Expression, Iri, Mistake, Model, Name, Text

OnFailure = Literal["quarantine", "null", "fail"] | None
"""What a value that cannot be made does; None is how YAML reads `on_failure: null`."""


def policy(on_failure: OnFailure) -> Literal["quarantine", "null", "fail"]:
    """The policy meant."""
    return on_failure or "null"


_FAILURE = "A value that cannot be made: quarantine sets its row aside, null goes on with a warning, fail ends the run"


class Cast(Model):
    """A type, and what happens to values that do not fit it."""

    to: Text = Field(description="The type, as text, decimal(10,2), timestamptz, …")
    on_failure: OnFailure = Field("quarantine", description=_FAILURE)


class Pairs(Model):
    """A text such as `colour=red; size=XL`."""

    take: dict[ColumnName, Text] = Field(min_length=1, description="new column: key in the text")
    between: Annotated[str, StringConstraints(min_length=1, max_length=10)] = Field(
        ";", description="What stands between two pairs"
    )
    equals: Annotated[str, StringConstraints(min_length=1, max_length=10)] = Field(
        "=", description="What stands between a key and its value"
    )


class Quantity(Model):
    """A text such as `12.5 kg`: a number and a unit that pint knows."""

    value: ColumnName = Field(description="New column for the number")
    unit: ColumnName | None = Field(None, description="New column for the unit's symbol")
    to: Text | None = Field(None, description="Convert to this unit; left out, numbers stay as written")
    assume: Text | None = Field(None, description="The unit of numbers that stand alone")


class Parse(Model):
    """Take a text apart, in one of four ways; the column itself stays."""

    column: ColumnName = Field(description="The column to read")
    regex: Text | None = Field(None, description="RE2 expression; each named group (?P<name>…) makes a column")
    json_: dict[ColumnName, Text] | None = Field(
        None, alias="json", min_length=1, description="new column: path such as $.part.code"
    )
    pairs: Pairs | None = Field(None, description="Keys and values")
    quantity: Quantity | None = Field(None, description="A number with a unit")
    on_failure: OnFailure = Field("quarantine", description=_FAILURE)

    @model_validator(mode="after")
    def _one_way(self) -> Parse:
        ways = {"regex": self.regex, "json": self.json_, "pairs": self.pairs, "quantity": self.quantity}
        given = [name for name, value in ways.items() if value is not None]
        if len(given) != 1:
            told = " and ".join(given) or "none of them"
            raise Mistake(f"parse has one of {', '.join(ways)}; here {told}", at=given[1] if given else "column")
        return self


class Normalise(Model):
    """Bring texts that mean the same to one form."""

    columns: Columns = Field(description="Text columns")
    unicode: bool = Field(True, description="To Unicode's composed form (NFC): é is one character, not two")
    whitespace: Literal["collapse", "trim", "keep"] = Field(
        "collapse", description="collapse: none at the ends, one space elsewhere; trim: none at the ends"
    )
    case: Literal["lower", "upper", "keep"] = Field("keep", description="Case of letters")
    accents: Literal["strip", "keep"] = Field("keep", description="strip makes é an e")
    empty: Literal["null", "keep"] | None = Field("keep", description="null makes NULL of a text without characters")


class Hash(Model):
    """One digest of several columns, to tell whether any of them changed. It hides nothing: see pseudonymise."""

    columns: Columns = Field(description="Columns, in this order; NULL differs from an empty text")
    into: ColumnName = Field(description="The new column, hexadecimal")
    method: Literal["sha256", "sha1", "md5"] = Field("sha256", description="The digest")


class Mask(Model):
    """Hide the characters of texts."""

    columns: Columns = Field(description="Columns to mask; they become text")
    first: int = Field(0, ge=0, le=100, description="Characters that stay at the beginning")
    last: int = Field(0, ge=0, le=100, description="Characters that stay at the end")
    sign: Annotated[str, StringConstraints(min_length=1, max_length=1)] = Field(
        "*", description="What stands for a character"
    )


class Pseudonymise(Model):
    """Keyed pseudonyms (HMAC-SHA256): equal values stay equal, and without the secret nobody finds the value again."""

    columns: Columns = Field(description="Columns to replace")
    secret: Text | None = Field(
        None, description="Id of the connection whose password is the secret; WORKBENCH_PSEUDONYM_SECRET if left out"
    )
    form: Literal["hex", "uuid"] = Field("hex", description="64 hexadecimal digits, or a UUID (version 8)")


class SurrogateKey(Model):
    """A UUIDv5 of other columns: the same values give the same key, in every run and every store."""

    into: ColumnName = Field(description="The new column")
    of: Columns = Field(description="Columns the key is made of; a row with a NULL among them is set aside")
    namespace: Text = Field(description="A UUID, or dns, url, oid, x500; tells keys of different things apart")


class Mapped(Model):
    """One line of a mapping: a column of the target, and where it comes from."""

    target: ColumnName = Field(description="The column that is made")
    from_: ColumnName | None = Field(None, alias="from", description="The input's column; else give an expression")
    expression: Expression | None = Field(None, description="SQL over the input's columns")
    type: Text | None = Field(None, description="Type of the target; that of its value if left out")
    default: str | int | float | bool | None = Field(None, description="In place of NULL; alone, a value for all rows")
    on_failure: OnFailure = Field("quarantine", description=_FAILURE)
    iri: Iri | None = Field(None, description="The property that the target is, in an ontology; RDF is written with it")
    note: Text | None = Field(None, description="For those who read the mapping")

    @model_validator(mode="after")
    def _one_origin(self) -> Mapped:
        if self.from_ is not None and self.expression is not None:
            raise Mistake(f"{self.target!r} comes from a column or an expression; here are both", at="expression")
        if self.from_ is None and self.expression is None and self.default is None:
            raise Mistake(f"{self.target!r} comes from nowhere", at="target", hint="give from, expression or default")
        return self

    @property
    def is_copy(self) -> bool:
        """Whether the value is the input's, under another name at most."""
        return self.from_ is not None and self.type is None and self.default is None


class Rule(Model):
    """When a condition holds, these columns have these values."""

    name: Name = Field(description="Name of the rule")
    when: Expression = Field(description="SQL condition")
    then: dict[ColumnName, Expression] = Field(min_length=1, description="column: SQL")
    priority: int = Field(0, ge=-1000, le=1000, description="Higher is tried first; equal ones in the order written")


class RuleSet(Model):
    """Rules that belong together; a file `*.rules.yaml` holds one."""

    version: int = Field(1, ge=1, description="Version of the set")
    rules: list[Rule] = Field(min_length=1, max_length=500, description="The first whose condition holds decides")
    default: dict[ColumnName, Expression] = Field(
        default_factory=dict, description="column: SQL, where no rule names it; NULL otherwise"
    )

    @model_validator(mode="after")
    def _names_once(self) -> RuleSet:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.name in seen:
                raise Mistake(f"two rules are named {rule.name!r}", at="rules")
            seen.add(rule.name)
        return self

    @property
    def ordered(self) -> list[Rule]:
        """The rules as they are tried."""
        return sorted(self.rules, key=lambda rule: -rule.priority)

    @property
    def columns(self) -> list[str]:
        """The columns the set makes, in the order in which they are named first."""
        return list(dict.fromkeys([*(name for rule in self.rules for name in rule.then), *self.default]))


class Rules(Model):
    """Decide columns by rules, written here or in a file that pipelines share."""

    file: Text | None = Field(None, description="Path of a *.rules.yaml, below the folder of this file")
    version: int | None = Field(None, ge=1, description="The version the file must have")
    set_: RuleSet | None = Field(None, alias="set", description="The rules, where no file is named")
    rule: ColumnName | None = Field(None, description="New column: the name of the rule that decided")

    @model_validator(mode="after")
    def _one_place(self) -> Rules:
        if self.file is not None and self.set_ is not None:
            raise Mistake("rules stand in set or in a file; here are both", at="set")
        if self.file is None and self.set_ is None:
            raise Mistake("rules stand in set or in a file; here is neither", hint="add file: NAME.rules.yaml")
        if self.version is not None and self.file is None:
            raise Mistake("version is that of a file of rules", at="version", hint="write it in set")
        return self
