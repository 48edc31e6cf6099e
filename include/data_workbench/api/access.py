"""Who may see what, asked of whichever auth manager Airflow runs with."""

from __future__ import annotations

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import HTTPException, status


def operator(user: GetUserDep) -> None:
    """Lets users pass who may see Airflow's connections: causes name servers and databases, reasons quote rows.

    Answers 401 to an anonymous caller and 403 to others.
    """
    if not get_auth_manager().is_authorized_connection(method="GET", user=user):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "this needs the right to read connections")
