"""A collection's configuration: from the request to the engine, and back into `collection info`."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from data_workbench.servers.qdrant_local.refusals import malformed, unsupported, wrong_input

Json = dict[str, Any]

_DISTANCES = {name: getattr(edge.Distance, name) for name in ("Cosine", "Euclid", "Dot", "Manhattan")}
_DATATYPES = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "uint8": edge.VectorStorageDatatype.Uint8,
}
_LARGEST = 65_536
# These tune speed, placement or replication; one local process has nothing to tune.
_WITHOUT_EFFECT = {
    "hnsw_config",
    "optimizers_config",
    "wal_config",
    "on_disk_payload",
    "replication_factor",
    "write_consistency_factor",
    "timeout",
}
_KNOWN = _WITHOUT_EFFECT | {"vectors", "sparse_vectors", "metadata", "shard_number"}
_HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, "max_indexing_threads": 0, "on_disk": False}
_OPTIMIZERS: Json = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 20_000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
}


def checked(body: Json) -> Json:
    """What is kept of a create request: its members without nulls, all of them understood."""
    kept = {name: value for name, value in body.items() if value is not None}
    for name in kept:
        if name not in _KNOWN:
            raise unsupported(f"{name} of create collection")
    if kept.get("shard_number", 1) != 1:
        raise unsupported("more than one shard")
    if not kept.get("vectors") and not kept.get("sparse_vectors"):
        raise wrong_input("a collection needs vectors or sparse_vectors")
    if not isinstance(kept.get("vectors", {}), dict) or not isinstance(kept.get("sparse_vectors", {}), dict):
        raise malformed("vectors and sparse_vectors must be objects")
    return kept


def engine_config(config: Json) -> edge.EdgeConfig:
    """The engine's form of a checked configuration."""
    vectors = config.get("vectors") or {}
    dense: Any = (
        {name: _vector(params) for name, params in vectors.items()} if not _is_single(vectors) else _vector(vectors)
    )
    sparse = {name: _sparse(params or {}) for name, params in (config.get("sparse_vectors") or {}).items()}
    return edge.EdgeConfig(vectors=dense or None, sparse_vectors=sparse or None)


def vector_sizes(config: Json) -> dict[str, int]:
    """Dimension by vector name; the unnamed one is the empty string."""
    vectors = config.get("vectors") or {}
    if _is_single(vectors):
        return {"": int(vectors["size"])}
    return {name: int(params["size"]) for name, params in vectors.items()}


def described(config: Json) -> Json:
    """The `config` member of collection info."""
    params = {
        "vectors": config.get("vectors") or {},
        "shard_number": 1,
        "replication_factor": config.get("replication_factor", 1),
        "write_consistency_factor": config.get("write_consistency_factor", 1),
        "on_disk_payload": config.get("on_disk_payload", True),
    }
    if config.get("sparse_vectors"):
        params["sparse_vectors"] = config["sparse_vectors"]
    answer: Json = {
        "params": params,
        "hnsw_config": _HNSW | config.get("hnsw_config", {}),
        "optimizer_config": _OPTIMIZERS | config.get("optimizers_config", {}),
        "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1},
        "quantization_config": None,
    }
    if config.get("metadata"):
        answer["metadata"] = config["metadata"]
    return answer


def _is_single(vectors: Json) -> bool:
    return "size" in vectors and not isinstance(vectors["size"], dict)


def _vector(params: Any) -> edge.EdgeVectorParams:
    if not isinstance(params, dict):
        raise malformed("vector parameters must be an object with size and distance")
    for name in ("multivector_config", "quantization_config"):
        if params.get(name) is not None:
            raise unsupported(f"{name} of a vector")
    size, distance = params.get("size"), params.get("distance")
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _LARGEST:
        raise malformed(f"size: value {size!r} invalid, must be from 1 to {_LARGEST}")
    if distance not in _DISTANCES:
        raise malformed(f"unknown variant {distance!r}, expected one of {', '.join(_DISTANCES)}")
    datatype = params.get("datatype")
    if datatype is not None and datatype not in _DATATYPES:
        raise malformed(f"unknown datatype {datatype!r}, expected one of {', '.join(_DATATYPES)}")
    return edge.EdgeVectorParams(
        size=size, distance=_DISTANCES[distance], datatype=_DATATYPES[datatype] if datatype else None
    )


def _sparse(params: Json) -> edge.EdgeSparseVectorParams:
    modifier = params.get("modifier")
    return edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if modifier == "idf" else None)
