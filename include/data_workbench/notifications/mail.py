"""Alerts by mail, over SMTP: one plain text message for each."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from data_workbench.errors import AccessDenied, StoreUnavailable, UsageError
from data_workbench.notifications.delivery import receiver_key
from data_workbench.notifications.words import lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_workbench.metastore.alerts import Alert

_SECONDS: Final = 20.0
_LONGEST: Final = 200
"""Characters of a subject."""


@dataclass(frozen=True)
class MailRoute:
    """Where mail goes, as an `smtp` connection says it.

    Args:
        name: the connection's id, for messages.
        has_ssl: the connection to the server is encrypted from its first byte.
        has_tls: it becomes so by STARTTLS; without either nothing is, and no password is sent.
    """

    name: str
    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    has_ssl: bool = True
    has_tls: bool = True

    def __post_init__(self) -> None:
        if not self.host or not self.sender or not self.to:
            raise UsageError(
                f"mail connection {self.name!r} lacks a host, a sender or receivers",
                hint='give a host, and as its extra {"from_email": "…", "to": ["…"]}',
            )
        if self.password and not (self.has_ssl or self.has_tls):
            raise UsageError(
                f"mail connection {self.name!r} would send its password unencrypted",
                hint="leave out disable_ssl or disable_tls, or the password",
            )

    def send(self, alert: Alert) -> None:
        """Hand the message to the server; that it took it for every receiver is a delivery."""
        if left := self.send_to(alert, None):
            raise StoreUnavailable(
                f"mail server of {self.name!r} refuses {len(left)} of {len(self.to)} receivers",
                hint="check `to` of the connection; it is tried again later",
            )

    def send_to(self, alert: Alert, left: Sequence[str] | None) -> list[str]:
        """Hand the message to the server for all receivers, or for those that are left; whom it refused."""
        wanted = {receiver_key(one): one for one in self.to}
        receivers = [one for key, one in wanted.items() if left is None or key in left]
        if not receivers:
            return []
        try:
            with self._server() as server:
                refused = server.send_message(self._message(alert), to_addrs=receivers)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPAuthenticationError as error:
            raise AccessDenied(
                f"mail server of {self.name!r} refuses the login ({error.smtp_code})", hint="check the connection"
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise StoreUnavailable(
                f"mail server of {self.name!r} did not take it ({type(error).__name__})", hint="it is tried again later"
            ) from None  # its text may hold what was sent
        return [receiver_key(one) for one in receivers if one in refused]

    def _server(self) -> smtplib.SMTP:
        if self.has_ssl:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=_SECONDS, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=_SECONDS)
        try:
            if self.has_tls and not self.has_ssl:
                server.starttls(context=ssl.create_default_context())
            if self.login and self.password:
                server.login(self.login, self.password)
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, alert: Alert) -> EmailMessage:
        message = EmailMessage()
        # A name in a title may hold a line break, which would begin a header of its own.
        message["Subject"] = " ".join(f"[{alert.severity}] {alert.title}".split())[:_LONGEST]
        message["From"] = self.sender
        message["To"] = ", ".join(self.to)
        message["Date"] = format_datetime(alert.created)
        # The same each time it is tried: a mailbox may know it again.
        message["Message-ID"] = f"<{alert.id}@{self.sender.rpartition('@')[2] or 'workbench'}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Workbench-Topic"] = alert.topic
        message["X-Workbench-Subject"] = " ".join(alert.subject.split())
        message.set_content("\n".join(lines_of(alert)) + "\n")
        return message
