"""Archives for the page and the API, from the metastore: the shelf itself is not reached from here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from data_workbench.api.datamodels.archives import (
    ArchiveOut,
    ArchivesOut,
    PartitionOut,
    PolicyOut,
    ScrubOut,
    TroubleOut,
)
from data_workbench.api.services.metastore import metastore
from data_workbench.metastore import archives, incidents
from data_workbench.metastore.audit import Search, list_entries

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.archives import Archive

THERE: Final = ("written", "live", "restored")
"""States of archives whose files lie on the shelf."""
MOST: Final = 500
"""Archives told one by one, the newest."""


def overview() -> ArchivesOut:
    """All that is there, by policy and one by one."""
    with metastore() as store:
        found = archives.list_archives(store, states=THERE)
        scrub = _last_scrub(store)
        troubles = _troubles(store)
    by_policy: dict[str, list[Archive]] = {}
    for one in found:
        by_policy.setdefault(one.policy, []).append(one)
    newest = sorted(found, key=lambda one: one.created, reverse=True)[:MOST]
    return ArchivesOut(
        troubles=troubles,
        policies=[_policy(name, ones) for name, ones in sorted(by_policy.items())],
        archives=[_archive(one) for one in newest],
        scrub=scrub,
        total_entries=len(found),
    )


def _policy(name: str, ones: Sequence[Archive]) -> PolicyOut:
    partitions = sorted(one.partition for one in ones)
    ends = [one.retained_until for one in ones if one.retained_until is not None and not one.legal_hold]
    size, raw = sum(one.bytes for one in ones), sum(one.raw_bytes for one in ones)
    return PolicyOut(
        policy=name,
        dataset=f"{ones[-1].connection}:{ones[-1].dataset}",
        archives=len(ones),
        rows=sum(one.rows for one in ones),
        live=sum(one.live for one in ones),
        bytes=size,
        raw_bytes=raw,
        ratio=_ratio(size, raw),
        held=sum(one.legal_hold for one in ones),
        oldest=partitions[0],
        newest=partitions[-1],
        along_with=name.partition(".")[0] if "." in name else None,
        partitions=_partitions(ones),
        last=max(one.created for one in ones),
        next_expiry=min(ends, default=None),
    )


def _partitions(ones: Sequence[Archive]) -> list[PartitionOut]:
    by_partition: dict[str, list[Archive]] = {}
    for one in ones:
        by_partition.setdefault(one.partition, []).append(one)
    return [
        PartitionOut(
            partition=name,
            archives=len(found),
            rows=sum(one.rows for one in found),
            live=sum(one.live for one in found),
            bytes=sum(one.bytes for one in found),
            held=sum(one.legal_hold for one in found),
        )
        for name, found in sorted(by_partition.items())
    ]


def _archive(one: Archive) -> ArchiveOut:
    known = {name: getattr(one, name) for name in ArchiveOut.model_fields if name not in ("ratio", "dataset")}
    return ArchiveOut(**known, dataset=f"{one.connection}:{one.dataset}", ratio=_ratio(one.bytes, one.raw_bytes))


def _ratio(size: int, raw: int) -> float | None:
    """How many times smaller than in memory."""
    return round(raw / size, 2) if size and raw else None


def _troubles(store: Metastore) -> list[TroubleOut]:
    word = "archive:"
    open_ones = [one for one in incidents.latest(store) if one.contract.startswith(word)]
    return [
        TroubleOut(cause=one.contract.removeprefix(word), severity=one.severity, since=one.opened) for one in open_ones
    ]


def _last_scrub(store: Metastore) -> ScrubOut | None:
    found = list_entries(store, Search(action="archive.verify.ended"), limit=1)
    if not found:
        return None
    told = json.loads(found[0].details)
    state = "failed" if told.get("problems") or told["state"] != "success" else "passed"
    return ScrubOut(at=found[0].at, state=state, archives=told.get("archives"), problems=told.get("problems") or {})
