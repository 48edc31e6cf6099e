"""What a `workbench_singer` connection holds: a tap to run, or messages to read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from data_workbench.connectors.spec import StoreConfig


def _words(value: object) -> object:
    """A command typed into a form: words, quoted as in a shell that is never run."""
    return shlex.split(value) if isinstance(value, str) else value


class SingerConfig(StoreConfig):
    """A tap's command with its configuration, or a place with messages."""

    columns: ClassVar[Mapping[str, str]] = {"place": "host", "secret": "password"}

    place: str | None = Field(
        None, description="instead of a tap: `file:///folder`, or a file of messages, or `-` for standard input"
    )
    command: Annotated[list[str], BeforeValidator(_words)] = Field(
        default_factory=list, description="the tap and its first arguments; a list, or words; no shell is involved"
    )
    config: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="the tap's own configuration, handed over as a private file"
    )
    secret: SecretStr | None = Field(None, description="a secret of the tap, put into its configuration")
    secret_key: str | None = Field(None, description="key of the configuration that takes the password")
    env: dict[str, str] = Field(
        default_factory=dict, repr=False, description="variables for the tap, beside PATH, HOME, TMPDIR and LANG"
    )
    catalog: dict[str, Any] | None = Field(None, repr=False, description="a catalog, for taps that cannot discover")
    catalog_flag: str = Field("--catalog", pattern="^--[a-z-]+$", description="`--properties` for old taps")
    timeout: float = Field(600.0, gt=0, le=86_400, description="seconds without a message after which a tap is ended")

    @model_validator(mode="after")
    def _is_one_of_two(self) -> SingerConfig:
        if bool(self.place) == bool(self.command):
            raise ValueError("it names a tap (extra.command) or a place with messages (host), one of them")
        if any(not word or "\0" in word for word in self.command):
            raise ValueError("a word of extra.command is empty")
        if (self.secret is None) != (self.secret_key is None) and self.command:
            raise ValueError("the password and extra.secret_key belong together")
        return self

    def tap_config(self) -> dict[str, Any]:
        """What the tap is handed, its secret included."""
        if self.secret is None or self.secret_key is None:
            return dict(self.config)
        return {**self.config, self.secret_key: self.secret.get_secret_value()}

    def secrets(self) -> list[str]:
        """Texts that must not be shown: everything the tap is told that is long enough to be a secret."""
        found = [*_leaves(self.tap_config()), *self.env.values()]
        return sorted({text for text in found if len(text) >= 5}, key=len, reverse=True)


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in _leaves(one)]
    if isinstance(value, list):
        return [text for one in value for text in _leaves(one)]
    return [] if value is None or isinstance(value, bool) else [str(value)]
