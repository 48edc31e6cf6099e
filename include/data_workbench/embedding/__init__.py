"""Text into vectors, the same text always into the same vector.

Read `registry.py` first. Public names:
    Embedder: what every model offers (`name`, `dimension`, `embed`).
    open_embedder(name, settings): a ready model.
    check_model(name): its dimension, without loading or downloading anything.
    fetch_model(name, settings, say=...): download it ahead, with progress.
    known_models(): names for a message or a form.
"""

from data_workbench.embedding.registry import Embedder, check_model, fetch_model, known_models, open_embedder

__all__ = ["Embedder", "check_model", "fetch_model", "known_models", "open_embedder"]
