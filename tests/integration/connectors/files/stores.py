"""Real servers to read and write files on: S3 (two kinds), SFTP and HTTP, each in a folder of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import hashlib
import html
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pydantic import SecretStr

from data_workbench.connectors.connections import Connection

KEY = "AKIAFILESTEST"
SECRET = "canary-secret-of-s3"
PASSWORD = "canary-password-of-sftp"
TOKEN = "canary-token-of-http"
VERSITYGW = "WORKBENCH_TEST_VERSITYGW"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")


# ------------------------------------------------------------------------------------------------------------ S3


@dataclass
class S3:
    """A server that speaks S3."""

    name: str
    endpoint: str

    def connection(self, root: str, **changes: Any) -> Connection:
        values: dict[str, Any] = {"login": KEY, "password": SecretStr(SECRET)} | changes
        extra = {"endpoint_url": self.endpoint, "region": "us-east-1", "timeout": 15}
        return Connection(id="lake", kind="workbench_files", host=f"s3://{root}", extra=extra, **values)

    def client(self) -> Any:
        """The vendor's own client, to look at what stands there."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )


@contextlib.contextmanager
def moto() -> Iterator[S3]:
    """The light one: takes any secret."""
    from moto.server import ThreadedMotoServer

    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        yield S3("moto", f"http://127.0.0.1:{port}")
    finally:
        server.stop()


@contextlib.contextmanager
def versitygw(binary: str, folder: Path) -> Iterator[S3]:
    """The faithful one: checks keys and conditions."""
    port = free_port()
    data = folder / "versitygw"
    data.mkdir()
    command = [binary, "--port", f"127.0.0.1:{port}", "--region", "us-east-1", "posix", str(data)]
    environment = {**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    with (folder / "versitygw.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(port)
        yield S3("versitygw", f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(data, ignore_errors=True)


# ---------------------------------------------------------------------------------------------------------- SFTP


@dataclass
class Sftp:
    """An SFTP server over a folder, which it does not lead out of, except by links."""

    port: int
    folder: Path
    host_key: str

    def connection(self, root: str = "data", **changes: Any) -> Connection:
        extra = {"host_key": self.host_key, "timeout": 15} | changes.pop("extra", {})
        values: dict[str, Any] = {"login": "tester", "password": SecretStr(PASSWORD)} | changes
        host = f"sftp://127.0.0.1:{self.port}/{root}"
        return Connection(id="drop", kind="workbench_files", host=host, extra=extra, **values)


@contextlib.contextmanager
def sftp(folder: Path, password: str = PASSWORD) -> Iterator[Sftp]:
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    public = key.export_public_key().decode().strip()
    port = free_port()
    sessions: list[Any] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, connection: Any) -> None:
            sessions.append(connection)

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, given: str) -> bool:
            return username == "tester" and given == password

    def files(channel: Any) -> Any:
        return asyncssh.SFTPServer(channel, chroot=str(folder))

    loop = asyncio.new_event_loop()

    async def listen() -> Any:
        return await asyncssh.listen(
            "127.0.0.1", port, server_host_keys=[key], server_factory=Server, sftp_factory=files
        )

    async def end() -> None:
        """A listener that is closed leaves its sessions open: they would be found by whoever collects garbage next."""
        listener.close()
        await listener.wait_closed()
        for session in sessions:
            session.abort()
            await session.wait_closed()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listener = asyncio.run_coroutine_threadsafe(listen(), loop).result(20)
    try:
        yield Sftp(port, folder, public)
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


# ---------------------------------------------------------------------------------------------------------- HTTP


@dataclass
class Http:
    """A web server over a folder: ranges, tags, pages that list, and a bearer token where one is wanted."""

    port: int
    folder: Path
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    token: str | None = None

    def connection(self, root: str = "", **extra: Any) -> Connection:
        host = f"http://127.0.0.1:{self.port}/{root}"
        return Connection(id="web", kind="workbench_files", host=host, extra={"timeout": 15} | extra)


@contextlib.contextmanager
def http(folder: Path) -> Iterator[Http]:
    state = Http(0, folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_facts: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            state.asked.append((self.command, self.path, dict(self.headers)))
            if state.token and self.headers.get("Authorization") != f"Bearer {state.token}":
                self.give(401, b"who are you?", {}, with_body=with_body)
                return
            place = folder / unquote(self.path.partition("?")[0]).lstrip("/")
            if place.is_dir():
                names = [one.name + ("/" if one.is_dir() else "") for one in sorted(place.iterdir())]
                links = "".join(f'<a href="{quote(name)}">{html.escape(name)}</a>\n' for name in names)
                self.give(200, links.encode(), {"Content-Type": "text/html"}, with_body=with_body)
            elif place.is_file():
                self.file(place, with_body=with_body)
            else:
                self.give(404, b"nothing here", {}, with_body=with_body)

        def file(self, place: Path, *, with_body: bool) -> None:
            content = place.read_bytes()
            changed = email.utils.formatdate(place.stat().st_mtime, usegmt=True)
            headers = {
                "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
                "Last-Modified": changed,
                "Accept-Ranges": "bytes",
                "Content-Type": "application/octet-stream",
            }
            wanted = self.headers.get("Range")
            if wanted is None:
                self.give(200, content, headers, with_body=with_body)
                return
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end) if end else len(content) - 1, len(content) - 1)
            if first >= len(content):
                self.give(416, b"", headers, with_body=with_body)
                return
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self.give(206, content[first : last + 1], headers, with_body=with_body)

        def give(self, status: int, content: bytes, headers: dict[str, str], *, with_body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
