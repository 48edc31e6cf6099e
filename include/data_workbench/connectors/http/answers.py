"""Bodies of answers: how much of one is read, and what JSON it holds.

Bodies are unpacked here and not by the HTTP library, because a cap on what comes out of a packed body has to hold
before it is in memory.
"""

from __future__ import annotations

import json
import time
import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from data_workbench.errors import ResourceExhausted, SchemaConflict

if TYPE_CHECKING:
    import httpx

ACCEPTED = "gzip, deflate"
_EITHER_HEADER = zlib.MAX_WBITS | 32  # zlib's or gzip's
_SHOWN = 200


class CutOff(Exception):
    """An answer ends before it is whole; another try may bring the rest."""


def read_body(response: httpx.Response, *, where: str, limit: int, seconds: float) -> bytes:
    """The unpacked body.

    Raises:
        ResourceExhausted: it is larger than `limit`, or takes longer than `seconds`.
        SchemaConflict: it is packed in a way we did not offer to understand.
        CutOff: the packed body ends too early.
    """
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise SchemaConflict(f"{where} answers packed as {packing[:40]!r}", hint=f"{ACCEPTED} are understood")
    unpack = None if packing in ("identity", "") else zlib.decompressobj(_EITHER_HEADER)
    parts: list[bytes] = []
    size, ends = 0, time.monotonic() + seconds
    for chunk in response.iter_raw():
        try:
            part = unpack.decompress(chunk, limit - size + 1) if unpack else chunk
        except zlib.error as error:
            raise SchemaConflict(f"{where}: the packed answer is damaged", hint="see the server's log") from error
        size += len(part)
        if size > limit:
            raise ResourceExhausted(
                f"{where} answers with more than {limit} bytes",
                hint="ask for smaller pages, or raise `max_response_bytes` of the connection",
            )
        if time.monotonic() > ends:
            raise ResourceExhausted(
                f"{where} is still answering after {seconds:g} s",
                hint="ask for smaller pages, or raise `response_seconds` of the connection",
            )
        parts.append(part)
    if unpack and not unpack.eof:
        raise CutOff
    return b"".join(parts)


def decode(body: bytes, *, content_type: str, where: str) -> Any:
    """The JSON document of a body; numbers with a point keep their digits as `Decimal`.

    Raises:
        SchemaConflict: it is no JSON, but HTML for example.
        CutOff: it begins like JSON and ends too early.
        ResourceExhausted: it is nested too deep to be read.
    """
    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, parse_float=Decimal)
    except RecursionError:
        raise ResourceExhausted(
            f"{where} answers with JSON nested too deep", hint="no record needs that; see what the API sends"
        ) from None
    except UnicodeDecodeError as error:
        raise _no_json(where, content_type, f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        if text.lstrip()[:1] in ("{", "[") and error.pos >= len(text.rstrip()):
            raise CutOff from None
        if error.msg.startswith("Unterminated string"):
            raise CutOff from None
        raise _no_json(where, content_type, f"{error.msg} at character {error.pos}") from None
    except ValueError as error:  # a number of more digits than Python takes
        raise _no_json(where, content_type, str(error)[:_SHOWN]) from None


def _no_json(where: str, content_type: str, said: str) -> SchemaConflict:
    kind = content_type.partition(";")[0].strip().lower() or "no content type"
    if "html" in kind:
        hint = "a login page or an error page of a proxy: check the base URL, the path and the credentials"
        return SchemaConflict(f"{where} answers with HTML, JSON is wanted", hint=hint)
    return SchemaConflict(f"{where} answers with {kind}, which is no JSON: {said}", hint="check the path")


def said_in(body: bytes) -> str:
    """What an error's answer says, cut short: a message of its JSON, otherwise nothing of a page."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    errors = document.get("errors") if isinstance(document, dict) else None
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        document = errors[0]
    for name in ("message", "detail", "error_description", "error", "title"):
        found = document.get(name) if isinstance(document, dict) else None
        if isinstance(found, str):
            return found[:_SHOWN]
    return json.dumps(document)[:_SHOWN] if document else ""
