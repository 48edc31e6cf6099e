"""What is never read: secrets of ODRAS's users. Such columns come as NULL, whoever asks.

By table name, in any schema; a table of None means all its columns. `Redaction` is data: a site adds its own.
"""

from __future__ import annotations

from collections.abc import Mapping

Redaction = Mapping[str, frozenset[str] | None]

REDACTED: Redaction = {
    "users": frozenset({"password_hash", "salt"}),
    "auth_tokens": None,
}


def is_redacted(table: str, column: str, rules: Redaction = REDACTED) -> bool:
    """Whether the column's values stay in the store."""
    if table.lower() not in rules:
        return False
    columns = rules[table.lower()]
    return columns is None or column.lower() in columns
