"""What a program complains about is told as what it means."""

from __future__ import annotations

import sys

import pytest

from data_workbench.backup.programs import run
from data_workbench.errors import AccessDenied, FatalError, StoreUnavailable, Unsupported

XML = """pg_restore: error: COPY failed for table "t": ERROR:  unsupported XML feature
DETAIL:  This functionality requires the server to be built with libxml support.
CONTEXT:  COPY t, line 1, column x: "<a/>\""""
LZ4 = """pg_restore: error: could not execute query: ERROR:  compression method lz4 not supported
DETAIL:  This functionality requires the server to be built with lz4 support.
Command was: ALTER TABLE ONLY public.t ALTER COLUMN x SET COMPRESSION lz4;"""
ICU = "pg_restore: error: could not execute query: ERROR:  ICU is not supported in this build"


def complain(words: str) -> FatalError:
    with pytest.raises(FatalError) as told:
        run([sys.executable, "-c", f"import sys; print({words!r}, file=sys.stderr); sys.exit(1)"], {})
    return told.value


@pytest.mark.parametrize(("words", "needs"), [(XML, "libxml"), (LZ4, "lz4"), (ICU, "ICU")])
def test_what_a_server_was_not_built_with_is_no_fault_of_the_set(words: str, needs: str) -> None:
    error = complain(words)
    assert isinstance(error, Unsupported)
    assert error.hint == f"a PostgreSQL server built with {needs}"


def test_anything_else_is_told_as_it_is() -> None:
    error = complain("pg_restore: error: something broke")
    assert type(error) is FatalError
    assert "something broke" in error.message
    assert isinstance(complain("pg_dump: error: permission denied for table t"), AccessDenied)
    with pytest.raises(StoreUnavailable):
        run([sys.executable, "-c", "raise SystemExit('error: connection to server at x failed')"], {})
