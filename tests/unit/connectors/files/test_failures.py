"""What drivers raise is told as one of our errors, also where the driver stumbles over it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fsspec.exceptions import FSTimeoutError

from data_workbench.connectors.files.failures import translated
from data_workbench.errors import StoreUnavailable


def test_a_time_out_that_its_driver_hides_behind_a_defect_is_still_a_store_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3fs = pytest.importorskip("s3fs.core")

    def timing_out(*_arguments: object, **_options: object) -> bytes:
        raise FSTimeoutError

    monkeypatch.setattr(s3fs, "_fetch_range", timing_out)
    asked = SimpleNamespace(fs=None, bucket="b", key="k", version_id=None, read_kw={}, details={})
    with (
        pytest.raises(StoreUnavailable, match=r"rows\.csv: the store does not answer .* \(FSTimeoutError\)"),
        translated("rows.csv"),
    ):
        s3fs.S3File._fetch_range(asked, 0, 1)


def stumble() -> None:
    """As code of ours might over a driver's error."""
    try:
        raise FSTimeoutError
    except FSTimeoutError as error:
        error.args[0]


def test_a_defect_of_ours_stays_one_whatever_came_before_it() -> None:
    with pytest.raises(IndexError), translated("rows.csv"):
        stumble()
