"""Collections with everything that is seldom seen, and what they hold as the server tells it."""

from __future__ import annotations

import json
import math
import random
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

NAMES = ("plain", "Ünï cödé 😀", "a.b%2F&c=d #e", "halves", "bytes", "named", "sparse only", "none", "empty")
_PAYLOADS: list[dict[str, Any]] = [
    {},
    {"é ü": "😀\u0000\u2028", "": "empty key", "a.b": {"c[0]": [1, [2, [3, {}]], None, {"x": []}]}, "b[]": 1},
    {"i": 9223372036854775807, "j": -9223372036854775808, "u": 18446744073709551615, "f": 1.0, "z": -0.0},
    {"f": 5e-324, "g": 1.7976931348623157e308, "h": 0.1, "k": 1e22, "l": 123456789012345680.0, "t": True, "n": None},
    {"geo": {"lon": -180.0, "lat": 90}, "at": "2026-01-01T00:00:00.123456Z", "uuid": str(UUID(int=2**127))},
    {"id": 1, "vector": [1], "payload": {"id": 2}, "$bytes": "x", "long": "x" * 200_000},
]  # fmt: skip
_IDS = [
    0,
    1,
    2**53 + 1,
    2**63,
    2**64 - 1,
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
]
_CONFIG: dict[str, dict[str, Any]] = {
    "plain": {
        "vectors": {"size": 5, "distance": "Cosine", "on_disk": True},
        "hnsw_config": {"m": 7, "ef_construct": 33, "on_disk": True, "payload_m": 4},
        "optimizers_config": {"indexing_threshold": 77, "default_segment_number": 1},
        "on_disk_payload": False,
        "replication_factor": 1,
        "metadata": {"owner": "é", "n": [1, {"x": None}]},
    },
    "Ünï cödé 😀": {"vectors": {"size": 1, "distance": "Manhattan"}},
    "a.b%2F&c=d #e": {"vectors": {"size": 2, "distance": "Euclid"}},
    "halves": {"vectors": {"size": 3, "distance": "Cosine", "datatype": "float16"}},
    "bytes": {"vectors": {"size": 3, "distance": "Dot", "datatype": "uint8"}},
    "named": {
        "vectors": {
            "a": {"size": 3, "distance": "Dot", "hnsw_config": {"m": 9}},
            "é 😀": {"size": 2, "distance": "Cosine", "datatype": "float16"},
        },
        "sparse_vectors": {"s": {"modifier": "idf"}, "t ü": {"index": {"on_disk": True}}},
    },
    "sparse only": {"sparse_vectors": {"s": {}}},
    "none": {"vectors": {"a": {"size": 2, "distance": "Dot"}}},
    "empty": {"vectors": {"size": 4, "distance": "Dot"}},
}  # fmt: skip
_INDEXES: dict[str, Any] = {
    "i": "integer", "f": "float", "t": "bool", "geo": "geo", "at": "datetime", "uuid": "uuid", "a.b.c": "keyword",
    '"é ü"': "text",
}  # fmt: skip
_ALIASES = {"now": "plain", "jetzt ü": "plain", "named one": "named", "ö": "Ünï cödé 😀"}
_FLOATS = (0.0, -0.0, 1e-45, -3.4028234663852886e38, 3.4028234663852886e38, 0.1, 1 / 3)


def make_odd(client: httpx.Client) -> None:
    """Fill a server."""
    draw = random.Random(17)
    for name in NAMES:
        ask(client, "PUT", name, "", _CONFIG[name])
        if name == "empty":
            continue
        points = [
            {"id": one, "vector": _vectors(name, number, draw), "payload": _PAYLOADS[number % len(_PAYLOADS)]}
            for number, one in enumerate(_IDS)
        ]
        points += [{"id": 1000 + n, "vector": _vectors(name, n, draw), "payload": {"n": n}} for n in range(300)]
        ask(client, "PUT", name, "/points?wait=true", {"points": points})
    for field, schema in _INDEXES.items():
        ask(client, "PUT", "plain", "/index?wait=true", {"field_name": field, "field_schema": schema})
    actions = [{"create_alias": {"alias_name": one, "collection_name": name}} for one, name in _ALIASES.items()]
    client.post("/collections/aliases", json={"actions": actions}).raise_for_status()


def _vectors(name: str, number: int, draw: random.Random) -> Any:
    def of(size: int) -> list[float]:
        return [draw.gauss(0, 1) for _ in range(size)]

    sparse = {"indices": draw.sample(range(2**32 - 1), 3), "values": of(3)}
    match name:
        case "bytes":
            return [draw.randrange(256) for _ in range(3)]
        case "named":
            whole = {
                "a": of(3),
                "é 😀": of(2),
                "s": sparse,
                "t ü": {"indices": [4294967295, 0], "values": [1e-30, -2.0]},
            }
            return {key: whole[key] for key in list(whole)[: number % 5]}
        case "sparse only":
            return {"s": sparse} if number % 3 else {}
        case "none":
            return {}
        case "a.b%2F&c=d #e":
            return [_FLOATS[number % len(_FLOATS)], draw.choice(_FLOATS)]
    return [0.0] * _CONFIG[name]["vectors"]["size"] if number == 3 else of(_CONFIG[name]["vectors"]["size"])


def facts_of(client: httpx.Client, prefix: str = "") -> dict[str, Any]:
    """Every point by its id, numbers with their type and sign, and what the server tells of collections and aliases."""
    found: dict[str, Any] = {}
    there = {one["name"] for one in client.get("/collections").json()["result"]["collections"]}
    for name in sorted(one.removeprefix(prefix) for one in there if one.startswith(prefix)):
        told = ask(client, "GET", prefix + name)
        found[f"config of {name}"] = told["config"]
        found[f"indexes of {name}"] = {key: one["data_type"] for key, one in told["payload_schema"].items()}
        wanted = {"limit": 10_000, "with_payload": True, "with_vector": True}
        for point in ask(client, "POST", prefix + name, "/points/scroll", wanted)["points"]:
            found[f"{name} {point['id']!r}"] = _exact([point.get("payload") or {}, point.get("vector") or {}])
    aliases = client.get("/aliases").json()["result"]["aliases"]
    own = {one["alias_name"]: one["collection_name"] for one in aliases if one["alias_name"].startswith(prefix)}
    found["aliases"] = {key.removeprefix(prefix): name.removeprefix(prefix) for key, name in own.items()}
    return found


def _exact(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"indices", "values"}:
        return sorted(zip(value["indices"], map(_exact, value["values"]), strict=True))
    if isinstance(value, dict):
        return {key: _exact(one) for key, one in sorted(value.items())}
    if isinstance(value, list):
        return [_exact(one) for one in value]
    if isinstance(value, float):
        return f"float {value.hex()} {math.copysign(1, value)}"
    return value if not isinstance(value, int) or isinstance(value, bool) else f"int {value}"


def ask(client: httpx.Client, method: str, name: str, rest: str = "", body: Any = None) -> Any:
    content = None if body is None else json.dumps(body)
    path = f"/collections/{quote(name, safe='').replace('.', '%2E')}{rest}"
    answer = client.request(method, path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 200, (name, answer.text)
    return answer.json()["result"]
