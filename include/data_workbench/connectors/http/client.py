"""One place that talks to an API: credentials, waiting, redirects, and errors as ours.

Only the connection's own origin gets credentials. A redirect or a link to another origin is refused, unless the
connection allows that origin, and then it is followed without them. All requests here read, POST ones too, so each
may be tried again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from data_workbench.connectors.http import answers, patience
from data_workbench.connectors.http.auth import ClientCredentials, Credentials, Hidden
from data_workbench.connectors.http.messages import Answer, Judge, Request
from data_workbench.connectors.http.origins import Origins, joined
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    RetriableError,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    UsageError,
    WorkbenchError,
)

if TYPE_CHECKING:
    import ssl

    import httpx

    from data_workbench.connectors.http.config import HttpConfig

log = logging.getLogger(__name__)

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_AGAIN = (500, 502, 503, 504)
_MOST_ERROR_BYTES = 65_536


class _Again(Exception):
    """Worth another try, after so many seconds if the server said so."""

    def __init__(self, error: RetriableError, after: float | None = None) -> None:
        super().__init__(error.message)
        self.error, self.after = error, after


class Api:
    """An API under one base URL; safe to use from several threads."""

    def __init__(self, connection_id: str, config: HttpConfig) -> None:
        self.config = config
        self._id = connection_id
        self._origins = Origins(config.url, config.allowed_hosts)
        self._pace = patience.Pace(config.requests_per_second)
        self._hidden = Hidden(config)
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        is_oauth = config.way == "oauth2_client_credentials"
        self._who = ClientCredentials(config, self._ask_token, self._hidden) if is_oauth else Credentials(config)

    def url(self, path: str) -> str:
        """A path below the base URL.

        Raises:
            UsageError: it is no path below it.
        """
        if "://" in path or path.startswith("//") or set("\\?#") & set(path) or ".." in path.split("/"):
            raise UsageError(f"{path[:80]!r} is no path below the API's base URL", hint="write it as in items/archived")
        tail = path.strip("/")
        return f"{self.config.url.rstrip('/')}/{tail}" if tail else self.config.url

    def linked(self, answer: Answer, link: str) -> Request:
        """The request a link of an answer means.

        Raises:
            AccessDenied: it leads to another origin, and the connection does not allow that one.
        """
        target = joined(answer.url, link)
        self._origins.check(target, f"a link in the answer of {answer.url.partition('?')[0]}")
        base, _, query = target.partition("#")[0].partition("?")
        pairs = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True)]
        return Request(base, tuple(pair for pair in pairs if pair[0] not in self._who.query))

    def hide(self, text: str) -> str:
        """A text of the API's without our secrets, should it repeat them."""
        return self._hidden.text(text)

    def ask(self, request: Request, judge: Judge | None = None) -> Answer:
        """Ask until there is an answer, or patience ends.

        Args:
            judge: says whether a document that came with status 200 is a refusal all the same.

        Raises:
            AccessDenied: 401, 403, or a redirect that leads away.
            StreamUnknown: 404 or 410.
            StoreBusy: 429 to the end, or a wait longer than `max_wait`.
            StoreUnavailable: no answer, 5xx, or answers cut off, to the end.
            SchemaConflict, ResourceExhausted: what came is no JSON, or too much of it.
        """
        import tenacity

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Again),
            stop=tenacity.stop_after_attempt(self.config.max_tries),
            wait=self._wait,
            reraise=True,
        )
        started = time.monotonic()
        try:
            return retrying(self._once, request, judge)
        except _Again as again:
            tries = retrying.statistics["attempt_number"]
            spent = time.monotonic() - started
            raise self._told(again.error, f" ({tries} tries in {spent:.0f} s)") from again.__cause__

    def close(self) -> None:
        """Give connections back."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    # ------------------------------------------------------------------------------------------------ one try

    def _once(self, request: Request, judge: Judge | None) -> Answer:
        response, body = self._send(request)
        headers = response.headers
        self._pause_if_spent(headers)
        where = request.where
        if response.status_code >= 400:
            raise self._refusal(response.status_code, headers, body, where)
        links = {str(name): str(link["url"]) for name, link in response.links.items() if "url" in link}
        url = str(response.request.url).partition("?")[0]
        answer = Answer(self._document(headers, body, where), headers, url, len(body), links)
        refusal = judge(answer) if judge else None
        if refusal is not None:
            error, wait = refusal
            raise _Again(error, wait) if isinstance(error, RetriableError) else error
        return answer

    def _document(self, headers: Mapping[str, str], body: bytes, where: str) -> Any:
        if not body.strip():
            return None
        try:
            kind = headers.get("content-type", "")
            return answers.decode(self._hidden.answer(body), content_type=kind, where=where)
        except answers.CutOff:
            raise _Again(self._cut_off(where)) from None

    def _send(self, request: Request) -> tuple[httpx.Response, bytes]:
        """Send, follow redirects, and once more with another token after a 401."""
        renewed = False
        for _ in range(_MOST_REDIRECTS + 2):
            who = self._who.headers() if self._origins.is_ours(request.url) else {}
            response, body = self._exchange(request, who)
            if response.status_code == 401 and who and not renewed and self._who.renewed(who):
                renewed = True
            elif response.status_code in _REDIRECTS:
                request = self._redirected(request, response)
            else:
                return response, body
        if response.status_code == 401:
            return response, body
        raise FatalError(f"{request.where} redirects more than {_MOST_REDIRECTS} times", hint="check the base URL")

    def _exchange(self, request: Request, who: Mapping[str, str]) -> tuple[httpx.Response, bytes]:
        time.sleep(self._turn(request.where))
        ours = self._origins.is_ours(request.url)
        fixed = {name: value.get_secret_value() for name, value in self.config.headers.items()} if ours else {}
        query = [*request.query, *(self._who.query.items() if ours else ())]
        headers = {"Accept": "application/json", **fixed, **request.headers, **who}
        made = self._http().build_request(
            request.method, request.url, params=query or None, headers=headers, json=request.body
        )
        return self._deliver(made, request.where)

    def _deliver(self, made: httpx.Request, where: str) -> tuple[httpx.Response, bytes]:
        import httpx

        try:
            response = self._http().send(made, stream=True)
            try:
                return response, self._read(response, where)
            finally:
                response.close()
        except answers.CutOff:
            raise _Again(self._cut_off(where)) from None
        except httpx.TimeoutException as error:
            raise _Again(self._away(f"{where} did not answer in time ({type(error).__name__})")) from None
        except httpx.TransportError as error:
            # The library's words may hold the URL with its query: only the kind of error is told.
            raise _Again(self._away(f"{where} broke off ({type(error).__name__})")) from None

    def _read(self, response: httpx.Response, where: str) -> bytes:
        is_error = response.status_code >= 300
        limit = self.config.max_response_bytes
        try:
            return answers.read_body(response, where=where, limit=limit, seconds=self.config.response_seconds)
        except WorkbenchError:
            if is_error:
                return b""  # the status says enough
            raise

    def _redirected(self, request: Request, response: httpx.Response) -> Request:
        target = joined(request.url, response.headers.get("location", ""))
        self._origins.check(target, f"a redirect of {request.where}")
        base, _, query = target.partition("#")[0].partition("?")
        pairs = tuple(pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in self._who.query)
        if request.method != "GET" and response.status_code in (301, 302, 303):
            raise FatalError(
                f"{request.where} is redirected with status {response.status_code}, which turns it into a GET",
                hint="write the address it leads to into the connection or the stream",
            )
        return replace(request, url=base, query=pairs)

    # ------------------------------------------------------------------------------------------------ waiting

    def _turn(self, where: str) -> float:
        seconds = self._pace.turn()
        if seconds > self.config.max_wait:
            raise self._too_long(where, seconds)
        return seconds

    def _pause_if_spent(self, headers: Mapping[str, str]) -> None:
        seconds = patience.spent_quota(headers)
        if seconds:
            log.info("%s: the quota is spent, next request in %.0f s", self._id, seconds)
            self._pace.hold(seconds)

    def _wait(self, state: Any) -> float:
        error = state.outcome.exception()
        after = error.after if isinstance(error, _Again) else None
        seconds = patience.backoff(self.config.backoff, state.attempt_number) if after is None else after
        log.warning("%s: %s; try %d in %.1f s", self._id, error, state.attempt_number + 1, seconds)
        return seconds

    # ------------------------------------------------------------------------------------------------ errors

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes, where: str) -> Exception:
        said = self._hidden.text(answers.said_in(body[:_MOST_ERROR_BYTES]))
        text = f"{where} (connection {self._id!r}) answers {status}{': ' if said else ''}{said}"
        if status == 401:
            return AccessDenied(text, hint="the credentials are missing, wrong or spent: see the connection")
        if status in (403, 407):
            return AccessDenied(text, hint="the credentials are known, but may not do this")
        if status in (404, 410):
            return StreamUnknown(text, hint="check the stream's path and the connection's base URL")
        if status in (408, 425, 429) or (status == 503 and "retry-after" in headers):
            wait = patience.asked_wait(headers)
            if wait is not None and wait > self.config.max_wait:
                return self._too_long(where, wait)
            return _Again(StoreBusy(text, hint="ask less often: `requests_per_second` of the connection"), wait)
        if status in _AGAIN:
            return _Again(self._away(text))
        return FatalError(text, hint="the API does not take this request: check params and body")

    def _too_long(self, where: str, seconds: float) -> StoreBusy:
        return StoreBusy(
            f"{where} asks to wait {seconds:.0f} s; connection {self._id!r} waits {self.config.max_wait:g} s at most",
            hint="run it later, or raise `max_wait` of the connection",
        )

    def _cut_off(self, where: str) -> StoreUnavailable:
        return self._away(f"{where} answers with JSON that is cut off")

    def _away(self, said: str) -> StoreUnavailable:
        hint = f"check that {self.config.url} answers; it is tried again with back-off"
        return StoreUnavailable(said, hint=hint)

    @staticmethod
    def _told(error: RetriableError, tail: str) -> RetriableError:
        return type(error)(error.message + tail, hint=error.hint)

    # ------------------------------------------------------------------------------------------------ the rest

    def _ask_token(self, form: dict[str, str], headers: dict[str, str]) -> Any:
        """One exchange with the token URL; what it says is not repeated, it may repeat what it was told."""
        url = self.config.token_url or ""
        where = f"the token URL {url}"
        made = self._http().build_request("POST", url, data=form, headers={"Accept": "application/json", **headers})
        response, body = self._deliver(made, where)
        if response.status_code in (*_AGAIN, 429):
            wait = patience.asked_wait(response.headers)
            raise _Again(self._away(f"{where} answers {response.status_code}"), min(wait or 0, self.config.max_wait))
        if response.status_code != 200:
            hint = "check client id, client secret and scope"
            raise AccessDenied(f"{where} answers {response.status_code}", hint=hint)
        try:
            return answers.decode(body, content_type=response.headers.get("content-type", ""), where=where)
        except answers.CutOff:
            raise _Again(self._cut_off(where)) from None

    def _http(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                import httpx

                for name in ("httpx", "httpcore"):  # they log URLs, and headers when asked to debug
                    logging.getLogger(name).setLevel(logging.WARNING)
                timeout = httpx.Timeout(self.config.timeout, connect=self.config.connect_timeout)
                headers = {"User-Agent": "data-workbench", "Accept-Encoding": answers.ACCEPTED}
                self._client = httpx.Client(
                    timeout=timeout, follow_redirects=False, verify=_trust(self.config.ca_bundle), headers=headers
                )
            return self._client


@cache
def _trust(ca_bundle: str | None) -> ssl.SSLContext:
    """Whom to trust: the operating system's authorities, or those of a file; reading them takes a while."""
    import ssl

    return ssl.create_default_context(cafile=ca_bundle)
