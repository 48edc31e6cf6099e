"""`GET /data/metrics`: numbers for Prometheus, in the format its scraper asks for."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from data_workbench.api.services import metrics as service


def router() -> APIRouter:
    """Who includes it says who may ask."""
    found = APIRouter()

    @found.get("/metrics")
    def metrics(request: Request) -> Response:
        from prometheus_client.exposition import choose_encoder

        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(service.registry()), headers={"content-type": kind, "cache-control": "no-store"})

    return found
