"""A server that sends exactly the bytes it is told, and ends connections the way it is told."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

Ending = Literal["close", "reset", "half", "hold"]
"""close: as TCP does it well; reset: RST; half: our side is shut, the socket stays; hold: nothing more comes."""


@dataclass(frozen=True)
class Script:
    """What one connection gets."""

    chunks: Sequence[bytes]
    ending: Ending = "close"


class RawServer:
    """Answers each connection with the next script; the last one is used again and again."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self._stop = threading.Event()
        self.connections = 0
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()
        for one in self._held:
            one.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stop.is_set():
                connection.close()
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._answer(connection, script)

    def _answer(self, connection: socket.socket, script: Script) -> None:
        connection.recv(65536)
        try:
            for chunk in script.chunks:
                connection.sendall(chunk)
        except OSError:
            pass  # the client has had enough
        if script.ending == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if script.ending == "half":
            connection.shutdown(socket.SHUT_WR)
        if script.ending in ("half", "hold"):
            self._held.append(connection)
        else:
            connection.close()


def head(status: str = "200 OK", **headers: str) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
