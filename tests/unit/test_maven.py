"""Downloads into the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_workbench import maven
from data_workbench.errors import StoreUnavailable

COORDINATE = "org.example:thing:1.0"


def test_a_cached_jar_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    folder = tmp_path / "maven" / "jar" / "org.example_thing_1.0"
    folder.mkdir(parents=True)
    (folder / "org.example.thing-1.0.jar").touch()
    assert maven.fetch_jar(COORDINATE, cache=tmp_path) == folder / "org.example.thing-1.0.jar"
    assert maven.is_cached(COORDINATE, cache=tmp_path)
    assert not maven.is_cached(COORDINATE, cache=tmp_path, classpath=True)


@pytest.mark.parametrize("fetch", [maven.fetch_jar, maven.fetch_classpath])
def test_without_network_and_cache_the_error_says_what_to_do(
    fetch: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreUnavailable) as caught:
        fetch(COORDINATE, cache=tmp_path)  # type: ignore[operator]
    assert COORDINATE in caught.value.message
    assert "WORKBENCH_CACHE" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == [], "nothing half-done is left"
