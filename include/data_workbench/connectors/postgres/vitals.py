"""What PostgreSQL says of itself that matters to pipelines, in one query that any role may ask."""

from __future__ import annotations

import psycopg

from data_workbench.connectors.base import Vital

_FEW_CONNECTIONS = 0.9
_OLD_TRANSACTION = 3600.0
_MUCH_WAL = 10 * 1024**3

# Views show a role without pg_monitor less, never an error: what is hidden counts as not there.
_QUERY = """
SELECT pg_is_in_recovery(),
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('max_connections')::int,
       pg_database_size(current_database()),
       (SELECT extract(epoch FROM now() - min(xact_start)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'),
       (SELECT count(*) FROM pg_replication_slots),
       (SELECT max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                        ELSE pg_current_wal_lsn() END, restart_lsn)) FROM pg_replication_slots),
       (SELECT string_agg(slot_name, ', ') FROM pg_replication_slots WHERE wal_status IN ('unreserved', 'lost'))
"""


def ask(connection: psycopg.Connection) -> list[Vital]:
    """Whether it can be written, connections, the oldest transaction, replication slots and the WAL they keep."""
    row = connection.execute(_QUERY).fetchone()
    assert row is not None
    standby, used, most, size, oldest, slots, retained, lost = row
    found = [
        Vital("can write", not standby),
        Vital("connections used", float(used), f"of {most}", _crowded(used, most)),
        Vital("database size", float(size), "bytes"),
        Vital("oldest transaction", None if oldest is None else float(oldest), "seconds", _held_back(oldest)),
    ]
    if slots:
        found.append(Vital("WAL kept by replication slots", float(retained or 0), "bytes", _kept(retained)))
        trouble = f"slot {lost} has lost its WAL: drop it and begin its consumer anew" if lost else None
        found.append(Vital("replication slots", float(slots), "", trouble))
    return found


def _crowded(used: int, most: int) -> str | None:
    if used < most * _FEW_CONNECTIONS:
        return None
    return f"{used} of {most} connections are taken: close idle ones, or raise max_connections"


def _held_back(oldest: float | None) -> str | None:
    # Incremental reads stay behind the oldest open transaction (decision 0002).
    if oldest is None or oldest < _OLD_TRANSACTION:
        return None
    return f"a transaction is open for {float(oldest) / 3600:.1f} h and holds incremental reads back: end it"


def _kept(retained: float | None) -> str | None:
    if not retained or retained < _MUCH_WAL:
        return None
    return f"replication slots keep {float(retained) / 1024**3:.0f} GB of WAL: is their consumer gone?"
