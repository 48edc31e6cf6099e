"""What the driver says, in one readable line."""

from __future__ import annotations

import psycopg
import pytest

from data_workbench.connectors.postgres.client import translated
from data_workbench.errors import AccessDenied, StoreUnavailable

DIED = (
    "server closed the connection unexpectedly\n"
    "\tThis probably means the server terminated abnormally\n"
    "\tbefore or while processing the request."
)
REFUSED = (
    'connection failed: no answer from ::1\nconnection failed: FATAL:  password authentication failed for user "x"'
)


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [(DIED, StoreUnavailable, "server closed the connection unexpectedly"), (REFUSED, AccessDenied, REFUSED[38:])],
)
def test_of_several_lines_the_one_with_the_reason_is_told(said: str, kind: type, told: str) -> None:
    found = translated(psycopg.OperationalError(said), "there")
    assert (type(found), found.message) == (kind, f"PostgreSQL there: {told}")
