"""A generic webhook: one JSON document by POST, signed as Standard Webhooks say.

The receiver checks `webhook-signature` over id, time and body with the shared secret, and knows a repeated alert by its
`webhook-id`. Specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from data_workbench.errors import AccessDenied, FatalError, StoreUnavailable, UsageError
from data_workbench.notifications.words import lines_of

if TYPE_CHECKING:
    from data_workbench.metastore.alerts import Alert

_SECONDS = 10.0
SHAPES: Final = ("standard", "slack")
_MARKS: Final = {
    "critical": "\N{LARGE RED CIRCLE}",
    "warning": "\N{LARGE ORANGE CIRCLE}",
    "info": "\N{LARGE GREEN CIRCLE}",
}


@dataclass(frozen=True)
class WebhookRoute:
    """Where alerts go.

    Args:
        name: the connection's id, for messages; the URL may hold a token and is never shown.
        url: an http or https address.
        shape: `standard`, or `slack`: `{"text": …}` as Slack, Mattermost and Rocket.Chat take it.
        secret: signs what is sent (`whsec_…`, or any base64 text); None sends it unsigned.
    """

    name: str
    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    shape: str = "standard"

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise UsageError(
                f"webhook connection {self.name!r} has no http or https address",
                hint="set its host to the whole URL, https://…",
            )

    def send(self, alert: Alert) -> None:
        """POST the alert; anything but a 2xx answer is no delivery."""
        import httpx

        body = json.dumps(in_slack(alert) if self.shape == "slack" else document(alert))
        headers = {"content-type": "application/json", "user-agent": "odras-data-workbench"}
        headers |= self._signed(alert, body)
        try:
            # The status says whether it was taken. What stands below it may have no end, and is not read.
            with httpx.stream("POST", self.url, content=body, headers=headers, timeout=_SECONDS) as answer:
                status = answer.status_code
        except httpx.HTTPError as error:
            raise StoreUnavailable(
                f"webhook {self.name!r} does not answer ({type(error).__name__})", hint="it is tried again later"
            ) from None  # the exception's text holds the URL
        if status in (401, 403):
            raise AccessDenied(f"webhook {self.name!r} refuses with HTTP {status}", hint="check its secret")
        if not 200 <= status < 300:
            raise StoreUnavailable(
                f"webhook {self.name!r} answered HTTP {status}, wanted 2xx", hint="it is tried again later"
            )

    def _signed(self, alert: Alert, body: str) -> dict[str, str]:
        from standardwebhooks import Webhook

        moment = datetime.now(UTC)
        told = {"webhook-id": alert.id, "webhook-timestamp": str(int(moment.timestamp()))}
        if self.secret is None:
            return told
        try:
            return told | {"webhook-signature": Webhook(self.secret).sign(alert.id, moment, body)}
        except (ValueError, RuntimeError) as error:
            raise FatalError(
                f"the secret of webhook {self.name!r} is not base64 ({type(error).__name__})",
                hint="give it as whsec_ and base64",
            ) from None


def document(alert: Alert) -> dict[str, Any]:
    """The body: `type`, `timestamp` and `data`, as Standard Webhooks recommend."""
    return {
        "type": alert.topic,
        "timestamp": alert.created.isoformat(),
        "data": {
            "id": alert.id,
            "subject": alert.subject,
            "severity": alert.severity,
            "title": alert.title,
            **alert.detail,
        },
    }


def in_slack(alert: Alert) -> dict[str, Any]:
    """The body for an incoming webhook of Slack's: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks

    `&`, `<` and `>` are escaped, as it asks: a name in an alert can be no mention and no link.
    """
    text = " ".join([_MARKS.get(alert.severity, ""), "\n".join(lines_of(alert))]).strip()
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
