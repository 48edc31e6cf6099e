"""Parts: cut, written, and the texts that ranges are kept as."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.archive.conftest import COMPRESSION, rows

from data_workbench.archive import parts
from data_workbench.archive.cold import content_of


def test_batches_are_cut_into_parts_without_losing_a_row() -> None:
    table = rows(0, 1_000)
    for size in (1, 7, 999, 1_000, 5_000):
        made = list(parts.cut(iter(table.to_batches(max_chunksize=64)), size))
        assert pa.concat_tables(made).equals(table)
        assert {one.num_rows for one in made[:-1]} <= {size}


def test_a_part_comes_back_as_it_was_and_has_a_bloom_filter_and_checksums(tmp_path: object) -> None:
    table = rows(0, 3_000)
    content = parts.encoded(table, ["id"], COMPRESSION)
    assert parts.decoded(content).equals(table)
    facts = pq.ParquetFile(pa.BufferReader(content)).metadata
    assert facts.num_row_groups == 3
    assert facts.row_group(0).column(0).compression == "ZSTD"
    plain = len(parts.encoded(table.select(["kind", "at"]).append_column("id", table.column("id")), [], COMPRESSION))
    assert len(content) > plain + 3_000  # ten bits a key


@pytest.mark.parametrize(
    "values",
    [
        pa.array([-(2**63), -1, 0, 7, 10, 2**63 - 1]),
        pa.array(["", "a", "aa", "b", "é", "🚀"]),
        pa.array(["2024-01-01", "2024-01-02"]).cast(pa.date32()),
    ],
)
def test_the_texts_of_a_range_sort_as_its_values_do(values: pa.Array) -> None:
    texts = parts.sortable(values).to_pylist()
    assert texts == sorted(texts, key=lambda text: text.encode())
    assert len(set(texts)) == len(texts)


def test_content_does_not_depend_on_order_or_cut() -> None:
    table = rows(0, 500)
    whole = content_of([table])
    assert whole == content_of([table.slice(300), table.slice(0, 300)])
    assert whole != content_of([table.slice(1), table.slice(1, 1)])
    assert whole.startswith("500:")


def test_the_way_of_writing_is_chosen_by_what_a_sample_took() -> None:
    best, trials = parts.choose(rows(0, 2_000), ["id"])
    assert best in [one.compression for one in trials]
    assert len(trials) == 4
    assert all(one.bytes > 0 for one in trials)
