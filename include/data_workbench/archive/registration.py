"""Archives in the metastore: their parts by key and time, and the words of their rows. All of it can be made anew."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from data_workbench.archive import ledger
from data_workbench.archive.checking import read_part
from data_workbench.archive.manifest import Manifest
from data_workbench.archive.shelf import Shelf
from data_workbench.mapping.text_values import to_text
from data_workbench.metastore import Metastore, archives

BLOCK_ROWS = 1_024
"""Rows whose words are found together, and looked at one by one."""


def register(
    store: Metastore, shelf: Shelf, manifest: Manifest, digest: str, *, state: archives.State, live: int
) -> None:
    """Keep what is known of an archive, and index its words; again is as good as once."""
    archives.register(
        store,
        archives.Archive(
            archive=manifest.archive,
            shelf=manifest.shelf,
            policy=manifest.policy,
            connection=manifest.origin.connection,
            dataset=manifest.origin.stream,
            database=manifest.origin.database,
            partition=manifest.partition,
            state=state,
            rows=manifest.rows,
            live=live,
            bytes=manifest.size,
            raw_bytes=manifest.written.raw_bytes,
            manifest=digest,
            created=manifest.created,
            retained_until=manifest.retained_until,
            legal_hold=manifest.legal_hold,
        ),
        [
            archives.Part(
                manifest.archive,
                place,
                part.sha256,
                part.rows,
                part.bytes,
                part.first,
                part.last,
                part.first_time,
                part.last_time,
                part.attributes,
            )
            for place, part in enumerate(manifest.parts)
        ],
    )
    columns = manifest.definition.get("search") or []
    for place in range(len(manifest.parts)) if columns else ():
        texts = texts_of(read_part(shelf, manifest, place), columns)
        for first in range(0, len(texts), BLOCK_ROWS):
            archives.index_words(store, manifest.archive, place, first, texts[first : first + BLOCK_ROWS])


def retire(store: Metastore, archive: str, state: Literal["replaced", "expired"] | str) -> None:
    """An archive whose files are gone."""
    archives.forget_parts(store, archive)
    archives.set_state(store, archive, "expired" if state == "expired" else "replaced", live=0)


def texts_of(rows: pa.Table, columns: list[str]) -> list[str]:
    """The searched columns of each row as one text."""
    found = [to_text(rows.column(name)).to_pylist() for name in columns]
    # A NUL is no character to PostgreSQL.
    return [
        " ".join(value for value in values if value is not None).replace("\0", " ")
        for values in zip(*found, strict=True)
    ]


def note_of(manifest: Manifest, digest: str) -> ledger.Noted:
    """An archive as its table's database knows it once all of its rows are live."""
    return ledger.Noted(
        manifest.archive,
        manifest.policy,
        manifest.origin.stream,
        digest,
        manifest.rows,
        manifest.rows,
        "live",
        manifest.created,
    )
