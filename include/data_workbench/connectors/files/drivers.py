"""The file systems as data: schemes, the class that serves them, what of a connection it takes, how it publishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from data_workbench.errors import Unsupported, UsageError

if TYPE_CHECKING:
    from data_workbench.connectors.files.config import FilesConfig


@dataclass(frozen=True)
class Driver:
    """One kind of file system.

    `extra` names the installation extra that brings its package, where the base installation does not.
    `publishes` is how a file becomes visible at once: `rename` of a hidden one, `commit` of an upload that was not
    finished, `close` of the handle; None: it is read only.
    """

    name: str
    schemes: tuple[str, ...]
    serves: str
    options: Callable[[FilesConfig], dict[str, Any]]
    publishes: Literal["rename", "commit", "close"] | None
    example: str
    extra: str | None = None


_NO_OLD_LISTINGS: Mapping[str, Any] = {"use_listings_cache": False}


def _nothing(_config: FilesConfig) -> dict[str, Any]:
    return {}


def _s3(config: FilesConfig) -> dict[str, Any]:
    client = {"endpoint_url": config.endpoint_url, "region_name": config.region}
    waits = {"connect_timeout": min(config.timeout, 10.0), "read_timeout": config.timeout}
    return {
        "key": config.login,
        "secret": _clear(config.password),
        "token": _clear(config.session_token),
        "anon": config.anonymous,
        "client_kwargs": {name: value for name, value in client.items() if value is not None},
        "config_kwargs": {**waits, "retries": {"total_max_attempts": 2, "mode": "standard"}},
        **_NO_OLD_LISTINGS,
    }


def _gs(config: FilesConfig) -> dict[str, Any]:
    shared = {"endpoint_url": config.endpoint_url, **_NO_OLD_LISTINGS}
    if config.anonymous:
        return {"token": "anon", **shared}
    if config.token is None:
        return {"token": "google_default", **shared}
    import json

    try:
        return {"token": json.loads(config.token.get_secret_value()), **shared}
    except ValueError:
        raise UsageError("`token` is no JSON", hint="put the service account's key file into it, as it is") from None


def _abfs(config: FilesConfig) -> dict[str, Any]:
    if config.anonymous:
        return {"account_name": config.login, "anon": True, **_NO_OLD_LISTINGS}
    key = _clear(config.password)
    if config.endpoint_url is None:
        return {"account_name": config.login, "account_key": key, "anon": False, **_NO_OLD_LISTINGS}
    parts = {"AccountName": config.login, "AccountKey": key, "BlobEndpoint": config.endpoint_url}
    text = ";".join(f"{name}={value}" for name, value in parts.items() if value is not None)
    return {"connection_string": text, **_NO_OLD_LISTINGS}


def _sftp(config: FilesConfig) -> dict[str, Any]:
    import asyncssh

    place = urlsplit(config.root)
    port = config.port or place.port or 22
    options: dict[str, Any] = {
        "host": place.hostname,
        "port": port,
        "username": config.login,
        "password": _clear(config.password),
        "known_hosts": (),  # the user's own file; None would trust anybody
        "client_keys": None,
        "agent_path": None,
        "config": None,
        "login_timeout": config.timeout,
        "connect_timeout": min(config.timeout, 10.0),
    }
    try:
        if config.host_key:
            name = f"[{place.hostname}]:{port}" if port != 22 else str(place.hostname)
            options["known_hosts"] = asyncssh.import_known_hosts(f"{name} {config.host_key}\n")
        if config.private_key:
            key = asyncssh.import_private_key(config.private_key.get_secret_value(), _clear(config.passphrase))
            options["client_keys"] = [key]
    except (asyncssh.KeyImportError, ValueError) as error:
        raise UsageError(f"host_key or private_key cannot be read ({type(error).__name__})") from None
    return options


def _http(config: FilesConfig) -> dict[str, Any]:
    import aiohttp

    # What is asked for is the file as it lies there: a server that packs on the way would change its size.
    client: dict[str, Any] = {
        "headers": {"Accept-Encoding": "identity"},
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=min(config.timeout, 10.0), sock_read=config.timeout),
    }
    if config.token is not None:
        client["headers"]["Authorization"] = f"Bearer {config.token.get_secret_value()}"
    elif config.login is not None:
        client["auth"] = aiohttp.BasicAuth(config.login, _clear(config.password) or "")
    return {"client_kwargs": client, "encoded": True, **_NO_OLD_LISTINGS}


def _clear(secret: Any) -> str | None:
    return secret.get_secret_value() if secret is not None else None


DRIVERS: Mapping[str, Driver] = {
    scheme: driver
    for driver in (
        Driver(
            "file",
            ("file", "local"),
            "fsspec.implementations.local:LocalFileSystem",
            _nothing,
            "rename",
            "file:///srv/exports",
        ),
        Driver(
            "memory",
            ("memory",),
            "fsspec.implementations.memory:MemoryFileSystem",
            _nothing,
            "commit",
            "memory://tests",
        ),
        Driver("s3", ("s3", "s3a"), "s3fs:S3FileSystem", _s3, "commit", "s3://bucket/folder"),
        Driver("gs", ("gs", "gcs"), "gcsfs:GCSFileSystem", _gs, "commit", "gs://bucket/folder", extra="gs"),
        Driver(
            "abfs",
            ("abfs", "abfss", "az"),
            "adlfs:AzureBlobFileSystem",
            _abfs,
            "close",
            "abfs://container/folder",
            extra="abfs",
        ),
        Driver("sftp", ("sftp", "ssh"), "sshfs:SSHFileSystem", _sftp, "rename", "sftp://host/folder"),
        Driver(
            "http",
            ("http", "https"),
            "fsspec.implementations.http:HTTPFileSystem",
            _http,
            None,
            "https://host/folder",
        ),
    )
    for scheme in driver.schemes
}


def open_filesystem(config: FilesConfig) -> Any:
    """The fsspec file system of a connection.

    Raises:
        Unsupported: its package is not installed; the extra that brings it is named.
    """
    driver = config.driver
    module, name = driver.serves.split(":")
    try:
        kind = getattr(import_module(module), name)
    except ImportError as error:
        wanted = f"pip install 'odras-data-workbench[{driver.extra}]'" if driver.extra else f"pip install {module}"
        raise Unsupported(
            f"{config.url}: {config.scheme}:// needs the package {error.name or module}, which is not installed",
            hint=wanted,
        ) from None
    options = {**driver.options(config), **config.storage_options}
    if driver.name in ("file", "memory"):
        return kind(**options)
    found = kind(**options, skip_instance_cache=True)  # none is shared between connections
    if driver.name == "s3":
        # Tries of s3fs, which repeat an answer that breaks off, around those of botocore, which repeat a request: their
        # defaults multiply, so that a silent server is given up only after many time-outs.
        found.retries = 2
    return found
