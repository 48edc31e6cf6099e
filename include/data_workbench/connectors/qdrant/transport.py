"""The HTTP connections to a server: time-outs, certificates, and the site's proxy."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3


def open_pool(url: str, *, timeout: float, connect_timeout: float) -> urllib3.PoolManager:
    """A pool for requests to a URL. Nothing is retried here: the run knows which of its steps to repeat.

    Args:
        timeout: seconds without a byte of the answer.
    """
    parts = urlsplit(url)
    options: dict[str, Any] = {
        "timeout": urllib3.Timeout(connect=min(connect_timeout, timeout), read=timeout),
        "retries": False,
        "ssl_context": _certificates() if parts.scheme == "https" else None,
    }
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _certificates() -> ssl.SSLContext:
    """The authorities of this machine, where sites put their own, and the public ones: slim images have none."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
