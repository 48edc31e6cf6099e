"""Secrets that the engine uses: their names stand in the plan, their values only in the engine's variables.

A secret is a HMAC key. It is set as the two blocks that RFC 2104 makes of it, so that the value itself is nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from data_workbench.errors import TransformError
from data_workbench.records.names import literal
from data_workbench.transforms.text import variable

SETTING = "WORKBENCH_PSEUDONYM_SECRET"
LEAST = 16
"""Characters a secret must have: shorter ones are found by trying."""
_BLOCK = 64  # bytes, of SHA-256


def secret_sql(name: str) -> tuple[str, str]:
    """SQL of the inner and the outer block."""
    inner, outer = (f"getvariable({literal(variable(one)[1:-1])})" for one in variables_of(name))
    return inner, outer


def variables_of(name: str) -> tuple[str, str]:
    """The names of the variables that hold a secret's two blocks."""
    # No param of a file can have a name with a colon.
    return f"_wb_secret:{name}:inner", f"_wb_secret:{name}:outer"


def secret_bindings(names: Iterable[str], values: Mapping[str, str]) -> dict[str, tuple[str, bytes]]:
    """Variables as an engine takes them.

    Raises:
        TransformError: a secret is missing or too short.
    """
    bound: dict[str, tuple[str, bytes]] = {}
    for name in names:
        inner, outer = variables_of(name)
        first, second = _blocks(name, values.get(name))
        bound[inner], bound[outer] = ("BLOB", first), ("BLOB", second)
    return bound


def _blocks(name: str, secret: str | None) -> tuple[bytes, bytes]:
    place = f"the password of connection {name!r}" if name else SETTING
    if not secret:
        raise TransformError(f"pseudonymise has no secret: {place} is not set", hint=f"set {place}")
    if len(secret) < LEAST:
        raise TransformError(
            f"pseudonymise: {place} has less than {LEAST} characters", hint="make it longer, of random"
        )
    key = secret.encode()
    key = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    return bytes(one ^ 0x36 for one in key), bytes(one ^ 0x5C for one in key)
