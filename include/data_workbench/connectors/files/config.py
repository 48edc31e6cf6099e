"""What a `workbench_files` connection holds: a root folder as a URL, and options of its file system."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, model_validator

from data_workbench.connectors.spec import StoreConfig

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

# Protocols of fsspec that name a place; chains (`zip::…`, `simplecache::…`) and programs (`github`, `git`) do not.
PROTOCOLS = frozenset(
    {
        "file",
        "local",
        "memory",
        "s3",
        "s3a",
        "gs",
        "gcs",
        "az",
        "abfs",
        "abfss",
        "hdfs",
        "webhdfs",
        "sftp",
        "http",
        "https",
    }
)


class FilesConfig(StoreConfig):
    """A root, with what its file system needs to open it."""

    columns: ClassVar[Mapping[str, str]] = {
        "place": "host",
        "folder": "database",
        "login": "login",
        "password": "password",
    }
    aliases: ClassVar[Mapping[str, str]] = {"root": "place"}

    place: str | None = Field(None, description="the root: `file:///folder`, `s3://bucket/folder`, …; or `extra.root`")
    folder: str | None = Field(None, description="a local root without its first slash, where there is no host")
    login: str | None = Field(None, description="access key of S3")
    password: SecretStr | None = Field(None, description="secret key of S3")
    storage_options: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="options of the file system, as fsspec takes them"
    )

    @model_validator(mode="after")
    def _names_a_place(self) -> FilesConfig:
        if not (self.place or self.folder):
            raise ValueError("no root folder: set host (or extra.root) to file:///folder")
        if "::" in self._address or urlsplit(self._address).scheme not in PROTOCOLS:
            shown, known = self._address.split("?")[0], ", ".join(sorted(PROTOCOLS))
            raise ValueError(f"root {shown!r} is not a place for files; use one of {known}")
        return self

    @property
    def _address(self) -> str:
        root = self.place or f"/{self.folder}"
        if "://" in root:
            return root
        return f"file://{root}" if root.startswith("/") else f"file:///{root}"

    @property
    def protocol(self) -> str:
        """fsspec's name of the file system."""
        found = self._address.partition("://")[0]
        return "file" if found == "local" else found

    @property
    def root(self) -> str:
        """The folder, or bucket and prefix."""
        path = self._address.partition("://")[2]
        return (unquote(path) or "/") if self.is_local else path.rstrip("/")

    @cached_property
    def storage(self) -> Mapping[str, Any]:
        """Keyword arguments of the file system; may hold secrets."""
        if self.is_local:
            return {}
        keys: dict[str, Any] = {}
        if self.protocol.startswith("s3") and self.login:
            keys = {"key": self.login, "secret": self.password.get_secret_value() if self.password else None}
        return keys | self.storage_options

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return self.protocol == "file"

    @property
    def url(self) -> str:
        """The root for messages and lineage; it holds no secret."""
        return f"file://{self.root}" if self.is_local else f"{self.protocol}://{self.root}"


def config_of(connection: Connection) -> FilesConfig:
    """Read a connection.

    Raises:
        UsageError: there is no root, or its protocol is not one that names a place.
    """
    return FilesConfig.of(connection)
