"""Parts: cut, written, and the texts that ranges are kept as."""

from __future__ import annotations

import hashlib
import random
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.archive.conftest import COMPRESSION, put_archive, rows

from data_workbench.archive import Shelf, parts
from data_workbench.archive.checking import all_groups
from data_workbench.archive.cold import content_of


def test_batches_are_cut_into_parts_without_losing_a_row() -> None:
    table = rows(0, 1_000)
    for size in (1, 7, 999, 1_000, 5_000):
        made = list(parts.cut(iter(table.to_batches(max_chunksize=64)), size, 2**30))
        assert pa.concat_tables(made).equals(table)
        assert {one.num_rows for one in made[:-1]} <= {size}


def test_wide_rows_are_cut_into_parts_by_their_bytes() -> None:
    table = pa.table({"id": list(range(100)), "text": ["x" * 10_000] * 100})
    made = list(parts.cut(iter(table.to_batches(max_chunksize=3)), 64, 50_000))
    assert pa.concat_tables(made).equals(table)
    assert max(one.nbytes for one in made) < 100_000
    assert parts.sample(table, 64, 50_000).num_rows == 4
    assert parts.sample(table, 64, 10).num_rows == 1, "a row at least"
    assert parts.sample(table, 64, 2**30).num_rows == 64


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


def test_each_column_is_written_as_its_sample_was_smallest_and_comes_back(shelf: Shelf) -> None:
    count = 20_000
    table = pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "kind": pa.array(random.Random(1).choices(("calm", "cross"), k=count)),
            "price": pa.array([Decimal(one * 31_337 % 10_000_000) / 100 for one in range(count)], pa.decimal128(12, 2)),
            "at": pa.array([one * 37_000_000 for one in range(count)], pa.timestamp("us", "UTC")),
            "ratio": pa.array([(one + 1) ** 0.5 for one in range(count)]),
            "hash": [hashlib.md5(str(one).encode()).hexdigest() for one in range(count)],
            "yes": [one % 3 == 0 for one in range(count)],
        }
    )
    layout = parts.Layout(COMPRESSION)
    content = parts.encoded(table, ["id"], layout.settle(table, ["id"]), layout.encodings)
    assert layout.encodings["id"] == layout.encodings["at"] == layout.encodings["price"] == "DELTA_BINARY_PACKED"
    assert layout.encodings["ratio"] == "BYTE_STREAM_SPLIT"
    assert "kind" not in layout.encodings
    assert "yes" not in layout.encodings
    assert parts.decoded(content).equals(table)
    assert len(content) < 0.75 * len(parts.encoded(table, ["id"], COMPRESSION))
    found = duckdb.from_arrow(table)  # noqa: F841  # DuckDB finds it by its name
    place = shelf.place.local("part.parquet")
    assert place is not None
    place.write_bytes(content)
    [(same,)] = duckdb.sql(
        f'SELECT count(*) FROM (SELECT * EXCLUDE ("at"), epoch_us("at") FROM read_parquet(\'{place}\')'
        ' INTERSECT ALL SELECT * EXCLUDE ("at"), epoch_us("at") FROM found)'
    ).fetchall()
    assert same == count


def test_a_part_is_read_a_row_group_at_a_time(shelf: Shelf) -> None:
    manifest = put_archive(shelf, 1)
    table = rows(0, 3_000)
    content = parts.encoded(table, ["id"], COMPRESSION)
    groups = list(parts.decoded_groups(content))
    assert [one.num_rows for one in groups] == [1_000, 1_000, 1_000]
    assert pa.concat_tables(groups).equals(table)
    assert [(place, first, one.num_rows) for place, first, one in all_groups(shelf, manifest)] == [
        (0, 0, 500),
        (1, 0, 500),
    ]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([5, -(2**63), 2**63 - 1, 0]),
        pa.array(["1999-12-31", "0001-01-01", "9999-12-31"]).cast(pa.date32()),
        pa.array([-719_163, 5, 2_932_896], pa.int32()).cast(pa.date32()),  # 1 BC, and the year 10000
        pa.array([253_402_300_799_999_999, -62_135_596_800_000_000, 1], pa.timestamp("us", "UTC")),
        pa.array([2**63 - 1, -(2**63) + 1, 0], pa.timestamp("us")),  # infinities
        pa.array(["b", "a", "é"]),
        pa.array([True, False]),
    ],
)
def test_a_range_goes_from_the_lowest_text_to_the_highest(values: pa.Array) -> None:
    texts = sorted(parts.sortable(values).to_pylist(), key=lambda text: text.encode())
    assert parts.bounds(pa.table({"v": values}), "v") == (texts[0], texts[-1])
