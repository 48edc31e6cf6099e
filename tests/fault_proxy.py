"""A TCP proxy that treats connections as bad networks do: late, slow, reset, half-closed, or silent."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Literal, Self

Fault = Literal["none", "latency", "slow", "reset", "half_closed", "silent"]
"""latency: 5 ms on each block; slow: 256 kB/s; reset: RST; half_closed: the server's side is shut, the socket stays;
silent: connected, and not one byte more."""
_BLOCK = 16 * 1024
_LATENCY, _SLOW_RATE = 0.005, 256 * 1024


class FaultProxy:
    """Stands before a server; a fault begins when so many bytes of answers have passed.

    Args:
        times: how many connections the fault hits; further ones are well. None for all.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self.fault: Fault = "none"
        self.after = 0
        self.times: int | None = None
        self.hits = 0
        self._passed = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._sockets: list[socket.socket] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.port: int = self._listener.getsockname()[1]

    def begin(self, fault: Fault, *, after: int = 0, times: int | None = None) -> None:
        """From now on, with the counters at nothing."""
        with self._lock:
            self.fault, self.after, self.times, self.hits, self._passed = fault, after, times, 0, 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._thread.join(5)
        self._listener.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            client, _ = self._listener.accept()
            if self._stopping.is_set():
                client.close()
                return
            try:
                server = socket.create_connection(self._target, 10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self._sockets += [client, server]
            for source, sink, is_answer in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(source, sink, is_answer), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        try:
            while block := source.recv(_BLOCK):
                if is_answer and not self._let(block, source, sink):
                    return
                sink.sendall(block)
        except OSError:
            pass  # either side has had enough
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)  # half of a connection may end before the other

    def _let(self, block: bytes, server: socket.socket, client: socket.socket) -> bool:
        """Whether an answer's block may pass."""
        with self._lock:
            self._passed += len(block)
            fault = self.fault
            if fault == "none" or self._passed <= self.after or (self.times is not None and self.hits >= self.times):
                return True
            if fault not in ("latency", "slow"):
                self.hits += 1
        if fault == "latency":
            time.sleep(_LATENCY)
            return True
        if fault == "slow":
            time.sleep(len(block) / _SLOW_RATE)
            return True
        self._break(fault, block, server, client)
        return False

    def _break(self, fault: Fault, block: bytes, server: socket.socket, client: socket.socket) -> None:
        if fault == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):  # wakes the other thread: a close under a read that waits would send nothing
                client.shutdown(socket.SHUT_RD)
            time.sleep(0.01)
            client.close()
            server.close()
            return
        with suppress(OSError):
            client.sendall(block[: len(block) // 2])  # the answer stops in its middle
            if fault == "half_closed":
                client.shutdown(socket.SHUT_WR)
        self._stopping.wait(120)  # and the socket stays as it is
