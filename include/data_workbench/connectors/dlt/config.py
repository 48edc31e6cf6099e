"""What a `workbench_dlt` connection holds: a source by its place among Python modules, and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, SecretStr, model_validator

from data_workbench.connectors.spec import StoreConfig


class DltConfig(StoreConfig):
    """A function that `@dlt.source` or `@dlt.resource` decorates, or what one of these gave."""

    columns: ClassVar[Mapping[str, str]] = {"secret": "password"}

    source: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", description="where it is: `package.module:function`"
    )
    arguments: dict[str, Any] = Field(default_factory=dict, repr=False, description="what the function is called with")
    secret: SecretStr | None = Field(None, description="a secret argument")
    secret_argument: str | None = Field(None, description="name of the argument that takes the password")

    @model_validator(mode="after")
    def _knows_where_the_secret_goes(self) -> DltConfig:
        if (self.secret is None) != (self.secret_argument is None):
            raise ValueError("the password and extra.secret_argument belong together")
        return self

    def call_with(self) -> dict[str, Any]:
        """All arguments, the secret one among them."""
        if self.secret is None or self.secret_argument is None:
            return dict(self.arguments)
        return {**self.arguments, self.secret_argument: self.secret.get_secret_value()}

    def masked(self, text: str) -> str:
        """A text without the secret, nor any argument that is long enough to be one."""
        found = [str(value) for value in self.call_with().values() if len(str(value)) >= 5]
        for secret in sorted(found, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text
