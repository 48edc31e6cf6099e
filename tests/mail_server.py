"""A mail server that is real, remembers what it was given, and refuses when it is told to."""

from __future__ import annotations

import socket
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


class MailServer:
    """Takes mail but for mailboxes that are `full`; where it `refuses`, it answers as one that is too busy."""

    def __init__(self) -> None:
        from aiosmtpd.controller import Controller

        self.got: list[EmailMessage] = []
        self.refuses = False
        self.full: set[str] = set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)

    @property
    def receivers(self) -> list[list[str]]:
        """Of each message, whom it was taken for."""
        return [str(one["X-Taken-For"]).split(", ") for one in self.got]

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address in self.full:
            return "450 mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses:
            return "451 busy"
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        message["X-Taken-For"] = ", ".join(envelope.rcpt_tos)
        self.got.append(message)
        return "250 OK"
