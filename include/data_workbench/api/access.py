"""Who may see what, asked of whichever auth manager Airflow runs with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import HTTPException, Request, status
from starlette.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

    from data_workbench.metastore.audit import Author
    from data_workbench.metastore.tokens import Scope


Method = Literal["GET", "PUT"]


def operator(user: GetUserDep) -> None:
    """Lets users pass who may see Airflow's connections: causes name servers and databases, reasons quote rows.

    Answers 401 to an anonymous caller and 403 to others.
    """
    _require_connections(user, "GET")


def _require_connections(user: Any, method: Method) -> None:
    if not get_auth_manager().is_authorized_connection(method=method, user=user):
        told = "read" if method == "GET" else "change"
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"this needs the right to {told} connections")


def machine(scope: Scope, *, method: Method = "GET") -> Callable[[Request], Awaitable[None]]:
    """Lets machines pass that show a service token of this scope, and users who may read connections (or change them).

    Answers 401 to whoever is nobody or shows a token that is unknown, expired or revoked, and 403 to one of another
    scope.
    """

    async def check(request: Request) -> None:
        from data_workbench.metastore.tokens import PREFIX

        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and shown.strip().startswith(PREFIX):
            await run_in_threadpool(_require_scope, shown.strip(), scope)
        else:
            await _require_user(request, shown.strip() if kind.lower() == "bearer" else None, method)

    return check


def _require_scope(text: str, scope: Scope) -> None:
    from data_workbench.api.services.metastore import metastore
    from data_workbench.metastore import tokens

    with metastore() as store:
        found = tokens.find(store, text)
    if found is None:
        told = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "this token is unknown, expired or revoked", told)
    if scope not in found.scopes:
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"this token is not for {scope}")


async def _require_user(request: Request, shown: str | None, method: Method) -> None:
    from airflow.api_fastapi.core_api.security import COOKIE_NAME_JWT_TOKEN, resolve_user_from_token

    user = await resolve_user_from_token(shown or request.cookies.get(COOKIE_NAME_JWT_TOKEN))
    _require_connections(user, method)


def require_trigger(dag_id: str, user: Any) -> None:
    """Raise 403 unless the user may trigger this DAG: who may run a pipeline may mend what it set aside, too."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails

    may = get_auth_manager().is_authorized_dag(
        method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user
    )
    if not may:
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"this needs the right to trigger DAG {dag_id}")


def author(user: BaseUser, reason: str | None, request: Request) -> Author:
    """A user of Airflow, for the audit trail: by a page if the request bears no token, else by REST."""
    from data_workbench.metastore.audit import Author

    return Author(user.get_name(), "rest" if _bears_token(request) else "ui", reason or None)


def _bears_token(request: Request) -> bool:
    return request.headers.get("authorization", "").lower().startswith("bearer ")


def from_here(request: Request) -> None:
    """Lets a request that changes something pass if it bears a token, or is JSON sent by a page of this server.

    A browser adds the UI's cookie to any page's request, so a cookie alone says nothing of who wanted it. A form of
    another site can send neither JSON nor, without our consent, a header of its own.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(status.HTTP_415_UNSUPPORTED_MEDIA_TYPE, "send application/json")
    if _bears_token(request):
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    same = site == "same-origin" if site else bool(origin) and _is_ours(str(origin), request)
    if not same:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "a request by cookie must come from a page of this server")


def _is_ours(origin: str, request: Request) -> bool:
    """Whether a page's origin is the address it asks, or the one that Airflow says it has behind a proxy."""
    from airflow.configuration import conf

    host, asked = urlsplit(origin).netloc.lower(), request.headers.get("host", "").lower()
    public = urlsplit(conf.get("api", "base_url", fallback="") or "").netloc.lower()
    return bool(host) and host in {asked, public}
