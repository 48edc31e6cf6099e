"""Stores are opened once each, when first asked for, and closed together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from data_workbench.connectors.base import Destination, Source
from data_workbench.errors import ConnectionUnknown

if TYPE_CHECKING:
    from tests.unit.pipelines.conftest import FileSite


def test_each_side_of_a_store_is_opened_once(site: FileSite) -> None:
    assert site.stores.source("files") is site.stores.source("files")
    assert site.stores.destination("files") is site.stores.destination("files")
    assert site.stores.source("file:///tmp") is not site.stores.source("files")
    with pytest.raises(ConnectionUnknown):
        site.stores.source("nobody")


def test_all_are_closed_even_if_the_block_fails(site: FileSite, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    monkeypatch.setattr(Source, "close", lambda one: closed.append(one))
    monkeypatch.setattr(Destination, "close", lambda one: closed.append(one))
    opened = [site.stores.source("files"), site.stores.destination("files")]
    with pytest.raises(RuntimeError), site.stores:
        raise RuntimeError
    assert closed == opened
    assert site.stores.source("files") is not opened[0]
