"""Addresses: which ones are the connection's own, and which it allows beside them."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urljoin, urlsplit

from data_workbench.errors import AccessDenied, SchemaConflict, UsageError


class Origins:
    """The origin that gets credentials, and those that links and redirects may lead to without them."""

    def __init__(self, url: str, allowed: Iterable[str]) -> None:
        self._own = origin_of(url)
        self._allowed = {_allowed(one) for one in allowed}

    def is_ours(self, url: str) -> bool:
        """Whether an address is of the connection's own origin."""
        return origin_of(url) == self._own

    def check(self, url: str, what: str) -> None:
        """Refuse an address elsewhere.

        Args:
            what: leads there, for the message.

        Raises:
            AccessDenied: it is of another origin, and the connection does not allow that one.
        """
        origin = origin_of(url)
        if origin != self._own and origin not in self._allowed:
            raise AccessDenied(
                f"{what} leads to {origin}, away from {self._own}",
                hint="if that is meant, add it to `allowed_hosts` of the connection; credentials stay here",
            )


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, in one spelling."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "an address that cannot be read"
    scheme = parts.scheme.lower()
    usual = {"http": 80, "https": 443}
    if scheme not in usual:
        return f"{scheme[:20]}: (only http and https are followed)"
    tail = f":{port}" if port and port != usual[scheme] else ""
    return f"{scheme}://{(parts.hostname or '').lower()}{tail}"


def joined(base: str, link: str) -> str:
    """Where a link leads that stands in an answer from `base`."""
    try:
        return urljoin(base, link)
    except ValueError:  # it will be refused as an address that cannot be read
        return link


def _allowed(text: str) -> str:
    origin = origin_of(text if "://" in text else f"https://{text}")
    if "(" in origin:
        raise UsageError(f"allowed_hosts: {text[:80]!r} is no origin", hint="write it as https://host")
    return origin


def segment(value: str) -> str:
    """A value as one segment of a path.

    Raises:
        SchemaConflict: it is empty, `.` or `..`, which would lead elsewhere.
    """
    if value in ("", ".", ".."):
        raise SchemaConflict(f"{value!r} cannot stand in a path", hint="filter such parents out")
    return quote(value, safe="")
