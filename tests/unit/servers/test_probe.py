"""A probe says why a server does not answer, whatever it is that answers in its place."""

from __future__ import annotations

import socket
import threading

from data_workbench.servers import http_trouble


def test_a_port_that_gives_back_our_own_words_is_a_server_not_ready_yet() -> None:
    """As a socket does that was connected to itself: the port asked from was the one asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(65_536))

        thread = threading.Thread(target=echo)
        thread.start()
        trouble = http_trouble(f"http://127.0.0.1:{server.getsockname()[1]}/health")
        thread.join(10)
    assert trouble == "what answers does not speak HTTP (BadStatusLine)"


def test_a_port_that_nobody_holds_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "refused" in str(http_trouble(f"http://127.0.0.1:{port}/"))
