"""Service tokens: what machines show that ask for one kind of thing (Prometheus for metrics, Spark to tell lineage).

A token is shown once, when it is made. Only its SHA-256 is kept: it is 256 random bits, so nothing slower is needed.
It says which scopes it has, may end by itself, can be revoked, and tells when it was last used, to the minute.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

from sqlalchemy import func, insert, or_, select, update

from data_workbench.errors import StateError, UsageError
from data_workbench.metastore import audit
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.access import service_tokens
from data_workbench.records.values import storable

Scope = Literal["metrics", "lineage:write"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

PREFIX: Final = "wbt_"
"""Of every token, so that it is known for one in a log, and by scanners of secrets."""
_USE_NOTED = timedelta(minutes=1)
_columns = service_tokens.c


@dataclass(frozen=True)
class Token:
    """A token as it is kept; what is shown with a request is not."""

    id: str
    name: str
    scopes: list[str]
    created: datetime
    created_by: str
    expires: datetime | None
    last_used: datetime | None
    revoked: datetime | None
    revoked_by: str | None

    @property
    def state(self) -> Literal["active", "expired", "revoked"]:
        """Whether it is taken."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= datetime.now(UTC) else "active"


_KEPT = [_columns[name] for name in Token.__dataclass_fields__]


def create(
    store: Metastore,
    name: str,
    scopes: Collection[Scope],
    *,
    expires: datetime | None = None,
    by: audit.Author | None = None,
) -> tuple[Token, str]:
    """Make a token: as it is kept, and its text, which is shown this once.

    Raises:
        UsageError: no scope, or one that is not known.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if not scopes or unknown:
        raise UsageError(
            f"a token has one or more of the scopes {', '.join(SCOPES)}, not {', '.join(unknown) or 'none'}"
        )
    author = by or audit.Author.of_process()
    identity = secrets.token_hex(6)
    text = f"{PREFIX}{identity}_{secrets.token_urlsafe(32)}"
    values = {"id": identity, "name": storable(name), "scopes": sorted(set(scopes)), "expires": expires}
    with store.transaction() as connection:
        made = insert(service_tokens).values(**values, hash=_hash(text), created_by=author.actor).returning(*_KEPT)
        token = Token(**connection.execute(made).one()._mapping)
        details = {"name": token.name, "scopes": token.scopes, "expires": expires.isoformat() if expires else None}
        audit.append(connection, author, audit.Act("token.created", f"token:{identity}", details))
    return token, text


def list_tokens(store: Metastore) -> list[Token]:
    """All tokens ever made, newest first."""
    with store.transaction() as connection:
        found = connection.execute(select(*_KEPT).order_by(_columns.created.desc(), _columns.id))
        return [Token(**row._mapping) for row in found]


def revoke(store: Metastore, identity: str, *, by: audit.Author | None = None) -> Token:
    """Take a token back, at once and for good; fine to call again.

    Raises:
        StateError: there is none of this id.
    """
    author = by or audit.Author.of_process()
    with store.transaction() as connection:
        changed = (
            update(service_tokens)
            .where(_columns.id == identity, _columns.revoked.is_(None))
            .values(revoked=func.now(), revoked_by=author.actor)
        )
        was_active = connection.execute(changed).rowcount > 0
        row = connection.execute(select(*_KEPT).where(_columns.id == identity)).one_or_none()
        if row is None:
            raise StateError(f"no token has the id {identity[:40]!r}", hint="list them: workbench token list")
        if was_active:
            audit.append(connection, author, audit.Act("token.revoked", f"token:{identity}", {"name": row.name}))
        return Token(**row._mapping)


def find(store: Metastore, text: str) -> Token | None:
    """The active token of this text; None for any other."""
    identity = text.removeprefix(PREFIX).partition("_")[0]
    with store.transaction() as connection:
        row = connection.execute(select(*_KEPT, _columns.hash).where(_columns.id == identity)).one_or_none()
        if row is None or not hmac.compare_digest(row.hash, _hash(text)):
            return None
        token = Token(**{name: getattr(row, name) for name in Token.__dataclass_fields__})
        if token.state != "active":
            return None
        long_ago = or_(_columns.last_used.is_(None), _columns.last_used < func.now() - _USE_NOTED)
        noted = update(service_tokens).where(_columns.id == identity, long_ago).values(last_used=func.now())
        connection.execute(noted)
        return token


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
