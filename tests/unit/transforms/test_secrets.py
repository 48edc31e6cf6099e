"""Pseudonyms: the digests of Python's hmac, and a secret that is in no plan, message or quarantined row."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from data_workbench.errors import TransformError

if TYPE_CHECKING:
    from .conftest import Bench

SECRET = "canary-7f3a correct horse battery"


@pytest.mark.parametrize("secret", [SECRET, "s" * 64, "s" * 65, "geheim-ÄÖÜ-und-noch-mehr"])
def test_pseudonyms_are_those_of_hmac(bench: Bench, secret: str) -> None:
    values = ["", "a", "Ann Müller", "x" * 200, "\n"]
    out = bench.run(
        {"rows": pa.table({"v": values})},
        [{"name": "safe", "pseudonymise": {"columns": "v", "secret": "vault"}}],
        secrets={"vault": secret},
    )
    assert out.column("safe", "v") == [
        hmac.new(secret.encode(), value.encode(), hashlib.sha256).hexdigest() for value in values
    ]


def test_the_secret_stands_nowhere(bench: Bench) -> None:
    steps = [
        {"name": "safe", "pseudonymise": {"columns": "v", "secret": "vault"}},
        {"name": "wrong", "derive": {"n": "CAST(v AS INTEGER)"}},
    ]
    out = bench.run({"rows": pa.table({"v": ["a"]})}, steps, secrets={"vault": SECRET})
    assert len(out.quarantine) == 1
    told = json.dumps(out.plan.to_json()) + json.dumps(out.quarantine)
    assert "canary" not in told
    assert out.plan.secrets == ("vault",)


def test_an_expression_cannot_read_the_secret(bench: Bench) -> None:
    steps = [
        {"name": "safe", "pseudonymise": {"columns": "v", "secret": "vault"}},
        {"name": "wrong", "derive": {"n": "getvariable('param__wb_secret:vault:inner')"}},
    ]
    with pytest.raises(TransformError, match="'getvariable' is not allowed"):
        bench.run({"rows": pa.table({"v": ["a"]})}, steps, secrets={"vault": SECRET})
