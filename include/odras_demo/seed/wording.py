"""From a weakness to the two kinds of text ODRAS keeps: passages of a document, and requirements.

The words are the catalogue's. A requirement turns a mitigation's imperative ("Use a vetted library") into a
shall-sentence; where no mitigation is an imperative, the weakness itself is what the system shall prevent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from odras_demo.weaknesses import Weakness, by_family, catalogue

PASSAGE_LENGTH = 950
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"(])")
_IMPERATIVES = (
    "Use Ensure Assume Perform Avoid Validate Run Apply Implement Design Enforce Verify Encrypt Check "
    "Require Employ Store Limit Follow Provide Create Make Set Include Restrict Disable Initialize Choose "
    "Select Protect Define Divide Handle Identify Keep Lock Minimize Prevent Properly Reduce Remove "
    "Separate Specify Test Treat Compartmentalize Configure Sanitize Generate Prohibit Replace Return "
    "Explicitly Clear Compare Duplicate Monitor Log Inspect Isolate "
)
_IMPERATIVE = re.compile(rf"^({'|'.join(_IMPERATIVES.split())}) ")


@dataclass(frozen=True)
class Passage:
    """A piece of a document: which weakness, which section of it, and the words."""

    cwe_id: int
    section: str
    text: str


def pack(text: str, *, length: int = PASSAGE_LENGTH) -> Iterator[str]:
    """Cut a text at sentence ends into pieces of about `length` characters."""
    piece = ""
    for sentence in _SENTENCE_END.split(" ".join(text.split())):
        if piece and len(piece) + len(sentence) >= length:
            yield piece
            piece = sentence
        else:
            piece = f"{piece} {sentence}".strip()
    if piece:
        yield piece


def passages(weakness: Weakness) -> Iterator[Passage]:
    """Everything the catalogue says about a weakness, in reading order."""
    for section, text in _sections(weakness):
        for piece in pack(text):
            yield Passage(weakness.cwe_id, section, piece)


def _sections(weakness: Weakness) -> Iterator[tuple[str, str]]:
    yield "summary", f"CWE-{weakness.cwe_id}: {weakness.name}. {weakness.description}"
    yield "description", weakness.extended
    yield "background", weakness.background
    yield "consequences", " ".join(_consequence(entry) for entry in weakness.consequences)
    yield (
        "detection",
        " ".join(f"{entry.get('METHOD')}: {entry.get('DESCRIPTION', '')}" for entry in weakness.detections),
    )
    yield (
        "mitigation",
        " ".join(f"{entry.get('PHASE', 'Any')}: {entry.get('DESCRIPTION', '')}" for entry in weakness.mitigations),
    )
    yield "observed", " ".join(f"{entry.get('REFERENCE')}: {entry.get('DESCRIPTION')}." for entry in weakness.examples)
    yield "note", " ".join(entry.get("NOTE", "") for entry in weakness.notes)


def _consequence(entry: dict[str, str]) -> str:
    head = f"{entry.get('SCOPE', 'Other')}: {entry.get('IMPACT', 'Varies by context')}."
    return f"{head} {entry['NOTE']}" if "NOTE" in entry else head


def demands(weakness: Weakness) -> tuple[str, ...]:
    """The shall-sentences a weakness gives rise to; at least one, none twice."""
    found = dict.fromkeys(
        sentence
        for entry in weakness.mitigations
        for piece in _SENTENCE_END.split(entry.get("DESCRIPTION", ""))
        if (sentence := _shall(piece)) is not None
    )
    prevention = re.sub(
        r"^The (product|software|application|program|code|system)\b", "the product", weakness.description
    )
    found[f"The system shall prevent {weakness.name} (CWE-{weakness.cwe_id}): {prevention}"] = None
    return tuple(found)


def _shall(sentence: str) -> str | None:
    sentence = " ".join(sentence.split())
    if not 30 <= len(sentence) <= 600:
        return None
    if sentence.startswith("Do not "):
        return f"The system shall not {sentence[7:]}"
    if _IMPERATIVE.match(sentence):
        return f"The system shall {sentence[0].lower()}{sentence[1:]}"
    return None


@cache
def documents(count: int) -> tuple[tuple[Passage, ...], ...]:
    """The whole catalogue as `count` documents of nearly equal numbers of weaknesses."""
    ordered = catalogue()
    bounds = [len(ordered) * part // count for part in range(count + 1)]
    return tuple(
        tuple(passage for weakness in ordered[start:end] for passage in passages(weakness))
        for start, end in pairwise(bounds)
    )


@cache
def security_demands() -> tuple[tuple[Weakness, str], ...]:
    """Every (weakness, shall-sentence): one sentence of each weakness by family, then the second ones, and so on."""
    family = by_family()
    sentences = [demands(weakness) for weakness in family]
    return tuple(
        (weakness, mine[level])
        for level in range(max(map(len, sentences)))
        for weakness, mine in zip(family, sentences, strict=True)
        if level < len(mine)
    )
