"""What the operating system, fsspec and its drivers raise, as our errors; the drivers' words are not repeated.

A driver's message may hold an address with a signature in it: its kind is told, and the status if it has one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from data_workbench.errors import (
    AccessDenied,
    ResourceExhausted,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    Unsupported,
    WorkbenchError,
)

_DRIVERS = frozenset(
    {
        "aiobotocore",
        "aiohttp",
        "asyncio",
        "asyncssh",
        "azure",
        "botocore",
        "fsspec",
        "gcsfs",
        "google",
        "s3fs",
        "urllib3",
    }
)
_REFUSED = frozenset(
    {
        "PermissionDenied",
        "HostKeyNotVerifiable",
        "NoCredentialsError",
        "PartialCredentialsError",
        "SFTPPermissionDenied",
        "DefaultCredentialsError",
        "RefreshError",
        "ClientAuthenticationError",
    }
)
_HINTS = {
    "HostKeyNotVerifiable": "put the server's public key into the connection's extra as `host_key`",
    "NoCredentialsError": "give login and password, or `anonymous: true` for public data",
}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what is raised below into our errors."""
    try:
        yield
    except WorkbenchError:
        raise
    except FileNotFoundError as error:
        raise StreamUnknown(f"{what}: no such file", hint="`workbench discover` lists what is there") from error
    except PermissionError as error:
        raise AccessDenied(f"{what}: permission denied", hint="check the rights of the file and its folder") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        kind = "a folder" if isinstance(error, IsADirectoryError) else "not a folder"
        raise StreamUnknown(f"{what}: {kind}") from error
    except (ImportError, NotImplementedError) as error:
        raise Unsupported(f"{what}: its file system cannot do this ({type(error).__name__})") from error
    except OSError as error:
        raise _of_system(what, error) from error
    except Exception as error:  # drivers have trees of their own; what is not theirs is not ours to explain
        if _is_of_driver(error):
            raise _of_driver(what, error) from error
        # A driver that stumbles while it looks at an error (s3fs: at one without arguments) hides it behind another.
        hidden = error.__context__
        if not (isinstance(hidden, OSError) or (hidden is not None and _is_of_driver(hidden))):
            raise
        if not _is_raised_by_driver(error):
            raise
        raise _of_system(what, hidden) if isinstance(hidden, OSError) else _of_driver(what, hidden) from error


def _is_of_driver(error: BaseException) -> bool:
    return type(error).__module__.split(".")[0] in _DRIVERS


def _is_raised_by_driver(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).split(".")[0] in _DRIVERS


def _of_system(what: str, error: OSError) -> WorkbenchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted(f"{what}: no space left on the device", hint="free some disk, then run again")
    if type(error).__name__ == "FileExpired":
        return StoreBusy(f"{what} changed while it was read", hint="write files aside and rename them when complete")
    if _is_of_driver(error):
        return _of_driver(what, error)
    return StoreUnavailable(f"{what}: {error.strerror or type(error).__name__}")


def _of_driver(what: str, error: BaseException) -> WorkbenchError:
    name, status = type(error).__name__, _status(error)
    told = f"{name}, status {status}" if status else name
    if name in _REFUSED or status in (401, 403):
        return AccessDenied(
            f"{what}: the store refuses ({told})",
            hint=_HINTS.get(name, "check login, password and rights of the connection"),
        )
    if status == 404:
        return StreamUnknown(
            f"{what}: no such file, or no such bucket", hint="`workbench discover` lists what is there"
        )
    if status in (412, 429):
        return StoreBusy(f"{what}: the store asks to try again ({told})")
    return StoreUnavailable(
        f"{what}: the store does not answer as it should ({told})", hint="check address and network"
    )


def _status(error: BaseException) -> int | None:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        found = getattr(error, "status", None) or getattr(error, "status_code", None) or getattr(error, "code", None)
    return found if isinstance(found, int) and 100 <= found < 600 else None
