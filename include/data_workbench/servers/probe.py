"""Asking a local server over HTTP whether it answers."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping

# A proxy named in the environment has no way to this machine's loopback.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Unauthorised(Exception):
    """The server answers, and refuses the password."""


def http_trouble(url: str, *, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> str | None:
    """Why a URL does not answer with success, or None when it does.

    Raises:
        Unauthorised: HTTP 401.
    """
    request = urllib.request.Request(url, data=data, headers=dict(headers or {}))  # noqa: S310  # a URL of our own
    try:
        with _direct.open(request, timeout=5) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 401:
                raise Unauthorised from error
            return f"HTTP {error.code}"
    except http.client.HTTPException as error:
        # Also our own words: a port that nobody listens on may be the one the system gives us to ask from.
        return f"what answers does not speak HTTP ({type(error).__name__})"
    except OSError as error:
        return str(error)
    return None
