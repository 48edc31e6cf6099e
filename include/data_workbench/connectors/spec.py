"""What a connector wants to be told: one pydantic model per store, read out of an Airflow connection.

A store's `config.py` declares its model; the registry names it by path, so that a form, a documents page and a check of
a connection need no driver:

    class AcmeConfig(StoreConfig):
        columns = {"host": "host", "user": "login", "password": "password"}   # field: column of the connection
        host: str = Field("localhost", description="the server")
        user: str | None = Field(None, description="who we are")
        password: SecretStr | None = Field(None, description="their secret")
        timeout: int = Field(60, gt=0, description="seconds to wait for an answer")          # extra.timeout

    config = AcmeConfig.of(connection)

A field that `columns` does not name is an extra of the same name. Secrets are typed `SecretStr`.
"""

from __future__ import annotations

import base64
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, Union, get_args, get_origin
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticUndefined

from data_workbench.errors import UsageError
from data_workbench.records.names import near_names

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from data_workbench.connectors.connections import Connection

_AIRFLOW = {"host": "host", "port": "port", "login": "login", "password": "password", "database": "schema"}


class StoreConfig(BaseModel):
    """Base of every connector's config model. Frozen; a key nobody knows is refused with near names."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    columns: ClassVar[Mapping[str, str]] = {}
    """Field: the attribute of `Connection` it comes from (`host`, `port`, `login`, `password`, `database`)."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Another name of an extra, as an official hook or form spells it: the field it means."""
    passed_over: ClassVar[frozenset[str]] = frozenset()
    """Extras that other readers of the same connection know (an official hook), and that mean nothing here."""

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """Read a connection.

        Raises:
            UsageError: keys that are unknown, missing or wrong, each by name and place; no value of a secret.
        """
        values = {field: getattr(connection, column) for field, column in cls.columns.items()}
        values = {field: value for field, value in values.items() if value is not None}
        problems: list[str] = []
        extras = cls._extras()
        for key, value in connection.extra.items():
            field = extras.get(key)
            if field is not None and value not in (None, ""):  # an empty box of a form says nothing
                values.setdefault(field, value)
            elif field is None and key not in cls.passed_over:
                problems.append(f"extra.{key} is not known ({near_names(key, extras)})")
        try:
            found = cls.model_validate(values)
        except ValidationError as error:
            problems += [cls._wrong(one) for one in error.errors(include_url=False)]
        # An address is shown in messages and lists: what is secret in it would be, too.
        problems = problems or [
            f"{cls.place_of(field)} is a URL with a password: put that into login and password"
            for field, value in values.items()
            if isinstance(value, str) and _has_password(value)
        ]
        if problems:
            raise UsageError(
                f"connection {connection.id!r} ({connection.kind}): {'; '.join(problems)}",
                hint=f"`workbench connections types {connection.kind}` tells every key it takes",
            ) from None
        return found

    def without_secrets(self, text: str) -> str:
        """A server's own words, should it repeat what it was sent: each secret masked, however it is spelled."""
        values = [getattr(self, name) for name, item in type(self).model_fields.items() if is_secret(item)]
        secrets = {value.get_secret_value() for value in values if isinstance(value, SecretStr)} - {""}
        login = getattr(self, "login", None) or getattr(self, "user", None) or ""
        basic = {base64.b64encode(f"{login}:{secret}".encode()).decode() for secret in secrets}
        spellings = secrets | basic | {form(secret) for secret in secrets for form in (quote, quote_plus)}
        for one in sorted(spellings, key=len, reverse=True):
            text = text.replace(one, "***")
        return text

    @classmethod
    def _extras(cls) -> dict[str, str]:
        """Names of extras and the fields they mean."""
        own = {name: name for name in cls.model_fields if name not in cls.columns}
        return own | dict(cls.aliases)

    @classmethod
    def _wrong(cls, error: ErrorDetails) -> str:
        path = error["loc"]
        if not path:  # a check of the model as a whole
            return str(error["msg"]).removeprefix("Value error, ")
        place = cls.place_of(str(path[0])) + "".join(f".{step}" for step in path[1:])
        if error["type"] == "missing":
            return f"{place} is missing: {cls.model_fields[str(path[0])].description}"
        seen = "" if is_secret(cls.model_fields[str(path[0])]) else f" (it is {_short(error['input'])})"
        wanted = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        return f"{place} should be {wanted}{seen}" if "should" in str(error["msg"]) else f"{place}: {wanted}{seen}"

    @classmethod
    def place_of(cls, field: str) -> str:
        """Where a field stands in an Airflow connection: `schema`, `extra.timeout`."""
        column = cls.columns.get(field)
        return _AIRFLOW[column] if column is not None else f"extra.{field}"


def _has_password(text: str) -> bool:
    try:
        return "://" in text and urlsplit(text).password is not None
    except ValueError:
        return True  # no URL after all; what it is, is not looked into


def _short(value: object) -> str:
    text = repr(value)
    # A URL may carry a password wherever it has no business to be.
    return "a URL" if "://" in text else text[:60]


def is_secret(field: FieldInfo) -> bool:
    """Whether a field is typed as a secret."""
    return any(SecretStr in (one, *get_args(one)) for one in _alternatives(field.annotation))


@dataclass(frozen=True)
class Key:
    """One key of a connection, for people: a form, a page, `connections list`."""

    field: str
    place: str
    type: str
    default: Any
    required: bool
    secret: bool
    meaning: str


def keys_of(config: type[StoreConfig]) -> list[Key]:
    """Every key a store's connection takes, in the model's order."""
    return [
        Key(
            field=name,
            place=config.place_of(name),
            type="secret" if is_secret(item) else _type_name(item.annotation),
            default=None if item.is_required() or item.default is PydanticUndefined else item.default,
            required=item.is_required(),
            secret=is_secret(item),
            meaning=item.description or "",
        )
        for name, item in config.model_fields.items()
    ]


_TYPE_NAMES = {str: "text", int: "integer", float: "number", bool: "boolean", dict: "object", list: "list"}


def _type_name(annotation: Any) -> str:
    names = []
    for one in _alternatives(annotation):
        origin = get_origin(one) or one
        if origin is typing.Literal:
            names += [f"`{value}`" for value in get_args(one)]
        elif origin is not type(None):
            names.append("object" if origin is Mapping else _TYPE_NAMES.get(origin, getattr(origin, "__name__", "any")))
    return " or ".join(dict.fromkeys(names)) or "any"


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(inner for one in get_args(annotation) for inner in _alternatives(one))
    return (annotation,)
