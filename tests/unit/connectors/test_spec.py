"""What a connection may hold: read into a store's config, mistakes named by key and place, secrets nowhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field, SecretStr

from data_workbench.connectors.connections import Connection
from data_workbench.connectors.registry import CONNECTORS, abilities_of, spec_of
from data_workbench.connectors.spec import StoreConfig, keys_of
from data_workbench.errors import Unsupported, UsageError


class AcmeConfig(StoreConfig):
    columns: ClassVar[Mapping[str, str]] = {"host": "host", "database": "database", "password": "password"}
    aliases: ClassVar[Mapping[str, str]] = {"time_out": "timeout"}
    passed_over: ClassVar[frozenset[str]] = frozenset({"hook_only"})

    host: str = Field("localhost", description="the server")
    database: str = Field(description="the database")
    password: SecretStr | None = Field(None, description="the secret")
    token: SecretStr | None = Field(None, description="another secret")
    timeout: int = Field(60, gt=0, description="seconds")
    mode: Literal["fast", "careful"] = Field("fast", description="how")
    secure: bool = Field(True, description="TLS")


def acme(**extra: Any) -> Connection:
    return Connection("site", "acme", host="h", database="d", password=SecretStr("canary-password"), extra=extra)


def test_columns_and_extras_become_fields() -> None:
    found = AcmeConfig.of(acme(timeout="5", token="canary", mode="careful", secure="false"))
    assert (found.host, found.database, found.timeout, found.mode, found.secure) == ("h", "d", 5, "careful", False)
    assert found.token is not None
    assert found.token.get_secret_value() == "canary"
    assert "canary" not in repr(found)


def test_an_alias_an_empty_box_and_a_key_of_others_are_taken_as_they_are_meant() -> None:
    found = AcmeConfig.of(acme(time_out=7, mode="", token=None, hook_only="x"))
    assert (found.timeout, found.mode, found.token) == (7, "fast", None)


def test_every_mistake_is_named_by_key_and_place() -> None:
    with pytest.raises(UsageError) as caught:
        AcmeConfig.of(Connection("site", "acme", extra={"tmieout": 3, "timeout": "soon", "mode": "slow"}))
    message = caught.value.message
    assert "connection 'site' (acme)" in message
    assert "extra.tmieout is not known (did you mean time" in message
    assert "schema is missing: the database" in message
    assert "extra.timeout should be a valid integer" in message
    assert "(it is 'soon')" in message
    assert "extra.mode should be 'fast' or 'careful'" in message
    assert "connections types acme" in str(caught.value.hint)


@pytest.mark.parametrize(
    "extra", [{"token": 5}, {"token": ["canary"]}, {"toke": "canary"}, {"timeout": "https://ada:canary@host"}]
)
def test_no_message_repeats_a_secret(extra: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        AcmeConfig.of(acme(**extra))
    assert "canary" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert caught.value.__suppress_context__


def test_keys_are_told_with_place_type_default_and_meaning() -> None:
    told = {key.field: key for key in keys_of(AcmeConfig)}
    assert (told["database"].place, told["database"].required) == ("schema", True)
    assert (told["token"].place, told["token"].type, told["token"].secret) == ("extra.token", "secret", True)
    assert (told["timeout"].type, told["timeout"].default, told["timeout"].meaning) == ("integer", 60, "seconds")
    assert told["mode"].type == "`fast` or `careful`"


@pytest.mark.parametrize("kind", CONNECTORS)
def test_every_connector_tells_its_keys_and_what_it_can_do(kind: str) -> None:
    keys = keys_of(spec_of(kind))
    assert all(key.meaning for key in keys), "every field has a description"
    able = abilities_of(kind)
    assert able.source is None or {"cursor", "snapshot", "partitions", "powers"} <= set(able.source)
    assert able.destination is None or {"dispositions", "replace", "transactional", "powers"} <= set(able.destination)
    assert able.source or able.destination


@pytest.mark.slow
def test_a_spec_imports_no_driver() -> None:
    code = (
        "import sys; from data_workbench.connectors.registry import CONNECTORS, spec_of; "
        "[spec_of(kind) for kind in CONNECTORS]; "
        "print([m for m in ('psycopg', 'neo4j', 'qdrant_client', 'duckdb', 'pyarrow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_type_nobody_serves_has_no_spec() -> None:
    with pytest.raises(Unsupported, match="'oracle'"):
        spec_of("oracle")
