"""Who we are to an API: what is added to a request, and what must never be shown.

Credentials are added at the last moment and only for the pinned origin, so that neither a link, a redirect, a message
nor a log line ever holds them.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from data_workbench.errors import AccessDenied

if TYPE_CHECKING:
    from data_workbench.connectors.http.config import HttpConfig

HIDDEN = "***"
_SKEW = 30.0  # seconds before its end that a token counts as spent
_LONG = 16  # a shorter secret may be an ordinary word, which data may hold


class Credentials:
    """Fixed ones: none, basic, bearer, an API key in a header or in the query."""

    def __init__(self, config: HttpConfig) -> None:
        secret = config.password.get_secret_value() if config.password else ""
        self._headers: dict[str, str] = {}
        self.query: Mapping[str, str] = {}
        if config.way == "basic":
            self._headers["Authorization"] = f"Basic {_basic(config.login or '', secret)}"
        elif config.way == "bearer":
            self._headers["Authorization"] = f"Bearer {secret}"
        elif config.way == "api_key" and config.api_key_in == "header":
            self._headers[config.api_key_name] = secret
        elif config.way == "api_key":
            self.query = {config.api_key_name: secret}

    def headers(self) -> Mapping[str, str]:
        """Headers that say who we are."""
        return self._headers

    def renewed(self, refused: Mapping[str, str]) -> bool:  # noqa: ARG002  # fixed ones have nothing else to offer
        """Whether, after a 401 to these headers, other ones can be tried."""
        return False


class ClientCredentials(Credentials):
    """OAuth2's client credentials (RFC 6749, 4.4): a token is asked for when needed, and again when it was refused.

    Args:
        ask: posts a form to the token URL with these headers and gives the JSON answer.
    """

    def __init__(self, config: HttpConfig, ask: Callable[[dict[str, str], dict[str, str]], Any], hide: Hidden) -> None:
        super().__init__(config)
        self._config, self._ask, self._hide = config, ask, hide
        self._lock = threading.Lock()
        self._token = ""
        self._ends = 0.0

    def headers(self) -> Mapping[str, str]:
        with self._lock:
            if not self._token or time.monotonic() >= self._ends:
                self._renew()
            return {"Authorization": f"Bearer {self._token}"}

    def renewed(self, refused: Mapping[str, str]) -> bool:
        with self._lock:
            if refused.get("Authorization") == f"Bearer {self._token}":
                self._token = ""  # not renewed by another thread meanwhile
        return True

    def _renew(self) -> None:
        config = self._config
        form = {"grant_type": "client_credentials"}
        form |= {name: value for name in ("scope", "audience") if (value := getattr(config, name))}
        secret = config.password.get_secret_value() if config.password else ""
        headers = {}
        if config.token_auth == "basic":  # noqa: S105  # where the secret stands, not the secret
            headers["Authorization"] = f"Basic {_basic(quote_plus(config.login or ''), quote_plus(secret))}"
        else:
            form |= {"client_id": config.login or "", "client_secret": secret}
        answer = self._ask(form, headers)
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise AccessDenied(
                "the token URL answered without an access_token", hint="check token_url, scope and audience"
            )
        self._token = token
        self._hide.add(token)
        lasts = answer.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int | float | str) and str(lasts).isdigit() else 3600.0
        self._ends = time.monotonic() + max(seconds - _SKEW, seconds / 2)


class Hidden:
    """Secrets in every spelling a message or an answer may repeat them in, and the taking out of them."""

    def __init__(self, config: HttpConfig) -> None:
        self._texts: list[str] = []
        self._repeated: list[bytes] = []
        for secret in config.secrets():
            self.add(secret, is_key=config.way != "basic")
        if config.way == "basic" and config.password:
            self._texts.append(_basic(config.login or "", config.password.get_secret_value()))

    def add(self, secret: str, *, is_key: bool = True) -> None:
        """Hide one more."""
        if not secret:
            return
        spellings = {secret, quote(secret, safe=""), quote_plus(secret)}
        self._texts = sorted({*self._texts, *spellings}, key=len, reverse=True)
        if is_key and len(secret) >= _LONG:
            self._repeated += [one.encode() for one in spellings]

    def text(self, text: str) -> str:
        """A message without secrets."""
        for secret in self._texts:
            text = text.replace(secret, HIDDEN)
        return text

    def answer(self, body: bytes) -> bytes:
        """An answer without keys and tokens: an API that repeats them (in links to itself) must not make them data.

        A basic password is left alone here: it may be an ordinary word of the data.
        """
        for secret in self._repeated:
            if secret in body:
                body = body.replace(secret, HIDDEN.encode())
        return body


def _basic(login: str, password: str) -> str:
    return base64.b64encode(f"{login}:{password}".encode()).decode()
