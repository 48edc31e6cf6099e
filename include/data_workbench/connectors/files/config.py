"""What a `workbench_files` connection holds: a root as a URL, and what its file system needs to open it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, model_validator

from data_workbench.connectors.files.drivers import DRIVERS, Driver
from data_workbench.connectors.spec import StoreConfig

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection


class FilesConfig(StoreConfig):
    """A root and its secrets."""

    columns: ClassVar[Mapping[str, str]] = {
        "place": "host",
        "local": "database",
        "login": "login",
        "password": "password",
        "port": "port",
    }
    aliases: ClassVar[Mapping[str, str]] = {"root": "place"}

    place: str | None = Field(
        None,
        description="the root: `file:///folder`, `s3://bucket/folder`, `gs://…`, `abfs://…`, `sftp://host/folder`, "
        "`https://host/folder`; or `extra.root`",
    )
    local: str | None = Field(None, description="a local root without its first slash, where there is no host")
    login: str | None = Field(None, description="access key, storage account or user")
    password: SecretStr | None = Field(None, description="secret key, account key or password")
    port: int | None = Field(None, ge=1, le=65535, description="sftp: when it is not 22")
    endpoint_url: str | None = Field(
        None, description="s3, gs, abfs: another server than the vendor's, e.g. http://minio:9000"
    )
    region: str | None = Field(None, description="s3: region")
    session_token: SecretStr | None = Field(None, description="s3: token of temporary keys")
    anonymous: bool = Field(False, description="s3, gs, abfs: read public data without keys")
    token: SecretStr | None = Field(None, description="http: bearer token; gs: a service account's key as JSON")
    private_key: SecretStr | None = Field(None, description="sftp: private key, as text")
    passphrase: SecretStr | None = Field(None, description="sftp: passphrase of the private key")
    host_key: str | None = Field(
        None, description="sftp: the server's public key (`ssh-ed25519 AAAA…`); else `known_hosts` decides"
    )
    timeout: float = Field(60.0, gt=0, le=3600, description="seconds to wait for an answer")
    storage_options: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="further options of the file system, as fsspec takes them"
    )

    @model_validator(mode="after")
    def _names_a_place(self) -> FilesConfig:
        if not (self.place or self.local):
            raise ValueError("no root folder: set host (or extra.root) to file:///folder")
        rest = self.root.partition("://")[2]
        if "::" in self.root or self.scheme not in DRIVERS:
            raise ValueError(
                f"root {self.scheme}://… is not a place for files; use one of {', '.join(sorted(DRIVERS))}"
            )
        if not self.is_local:
            if "@" in rest.split("/")[0] and self.driver.name != "abfs":
                raise ValueError(f"root {self.scheme}://… names a user: put it into login and password")
            if "?" in rest or not rest.strip("/"):
                wrong = "has a query" if "?" in rest else "names no bucket or host"
                raise ValueError(f"root {self.scheme}://… {wrong}; write it like {self.driver.example}")
        return self

    @property
    def root(self) -> str:
        """The root as a URL."""
        root = self.place or f"/{self.local}"
        if "://" in root:
            return root
        return f"file://{root}" if root.startswith("/") else f"file:///{root}"

    @property
    def scheme(self) -> str:
        """The root's scheme as written."""
        return self.root.partition("://")[0]

    @property
    def driver(self) -> Driver:
        """What serves the scheme."""
        return DRIVERS[self.scheme]

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return self.driver.name == "file"

    @property
    def folder(self) -> str:
        """The root as its file system writes it."""
        rest = self.root.partition("://")[2].rstrip("/")
        match self.driver.name:
            case "file":
                return unquote(rest) or "/"
            case "sftp":
                return unquote(urlsplit(self.root).path.rstrip("/")) or "/"
            case "http":
                return f"{self.scheme}://{rest}"
        return rest

    @property
    def url(self) -> str:
        """The root for messages and lineage; it holds no secret."""
        return f"file://{self.folder}" if self.is_local else self.root.rstrip("/")


def config_of(connection: Connection) -> FilesConfig:
    """Read a connection.

    Raises:
        UsageError: there is no root, its scheme is not one that names a place, or a key is unknown or wrong.
    """
    return FilesConfig.of(connection)
