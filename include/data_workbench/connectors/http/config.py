"""From a connection to what a client of an API needs; a pydantic model, secrets as `SecretStr`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from data_workbench.connectors.spec import StoreConfig

AuthKind = Literal["none", "basic", "bearer", "api_key", "oauth2_client_credentials"]


class HttpConfig(StoreConfig):
    """An API's address, who we are there, and how much patience and room we have for it."""

    columns: ClassVar[Mapping[str, str]] = {
        "base_url": "host",
        "port": "port",
        "login": "login",
        "password": "password",
    }
    aliases: ClassVar[Mapping[str, str]] = {"base_url": "base_url"}

    base_url: str = Field(
        description="the base URL, its origin is pinned; a bare host means HTTPS; `extra.base_url` means the same"
    )
    port: int | None = Field(None, ge=1, le=65535, description="port, for a host that is no URL")
    auth: AuthKind | None = Field(
        None, description="how we say who we are; left out: basic with a login, bearer with a password alone, or none"
    )
    login: str | None = Field(None, description="user (basic), or client id (OAuth2)")
    password: SecretStr | None = Field(None, description="password, token, API key or client secret")
    api_key_name: str = Field("X-API-Key", min_length=1, description="header or query parameter of the API key")
    api_key_in: Literal["header", "query"] = Field("header", description="where the API key goes")
    token_url: str | None = Field(None, description="OAuth2: where tokens are given; may be of another origin")
    scope: str | None = Field(None, description="OAuth2: scopes, separated by spaces")
    audience: str | None = Field(None, description="OAuth2: audience, where the server wants one")
    token_auth: Literal["basic", "body"] = Field(
        "basic", description="OAuth2: client id and secret in the Authorization header, or in the body"
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="headers sent with every request")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="other origins (https://host) that links and redirects may lead to, without credentials"
    )
    ca_bundle: str | None = Field(None, description="file with the certificate authorities to trust")
    connect_timeout: float = Field(10, gt=0, le=600, description="seconds to connect")
    timeout: float = Field(60, gt=0, le=3600, description="seconds without a byte")
    response_seconds: float = Field(300, gt=0, le=86400, description="seconds for one whole answer")
    max_response_bytes: int = Field(64 * 1024**2, ge=1024, le=2 * 1024**3, description="of one answer, unpacked")
    requests_per_second: float | None = Field(None, gt=0, le=10_000, description="no more than this is asked")
    max_tries: int = Field(5, ge=1, le=20, description="tries of one request, the first among them")
    backoff: float = Field(0.5, ge=0, le=60, description="seconds; doubles with each try, with jitter")
    max_wait: float = Field(120, ge=0, le=86400, description="longest wait the server may ask for, in seconds")
    check_path: str = Field("", description="what `check` asks for, below the base URL")

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value

    @field_validator("headers", mode="before")
    @classmethod
    def _decode(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("base_url", mode="before")
    @classmethod
    def _means_https(cls, value: Any) -> Any:
        return f"https://{value}" if isinstance(value, str) and "://" not in value else value

    @field_validator("base_url", "token_url")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL that begins with https:// or http://")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no login, query or fragment")
        return value

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> HttpConfig:
        needs = {
            "basic": ("login", "password"),
            "bearer": ("password",),
            "api_key": ("password",),
            "oauth2_client_credentials": ("login", "password", "token_url"),
        }
        missing = [name for name in needs.get(self.way, ()) if getattr(self, name) is None]
        if missing:
            raise ValueError(f"auth {self.way} needs {', '.join(map(self.place_of, missing))}")
        return self

    @property
    def way(self) -> AuthKind:
        """How we say who we are."""
        if self.auth is not None:
            return self.auth
        if self.password is None:
            return "none"
        return "basic" if self.login else "bearer"

    @property
    def url(self) -> str:
        """The base URL, with the port where that stands on its own."""
        parts = urlsplit(self.base_url)
        if self.port is None or parts.port is not None:
            return self.base_url
        return parts._replace(netloc=f"{parts.hostname}:{self.port}").geturl()

    @property
    def is_exposed(self) -> bool:
        """Whether credentials go over plain HTTP."""
        return self.way != "none" and urlsplit(self.url).scheme == "http"

    def secrets(self) -> Iterator[str]:
        """Everything that must never be shown."""
        if self.password is not None:
            yield self.password.get_secret_value()
        for value in self.headers.values():
            yield value.get_secret_value()
