"""`archive get`, `search`, `query`, `restore`: archived rows found and brought back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, read_pairs, say_json, say_table
from data_workbench.cli.archive import archive, archiver, moment, shelf_option
from data_workbench.cli.progress import shown
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.archive.finding import Found


@command(archive)
@click.argument("policy")
@click.argument("key", nargs=-1, required=True)
@shelf_option
def get(policy: str, key: tuple[str, ...], shelf: str | None, as_json: bool) -> None:
    """The row with a key, from whichever archive it is live in, or from the table."""
    from data_workbench.archive.finding import opened

    with archiver(Session(), shelf) as able, opened(able, policy) as finder:
        found = finder.get(key)
    if as_json:
        say_json({"rows": [_row(one) for one in found]})
        return
    for one in found:
        click.echo(f"archive {one.archive}" if one.archive else "in the table")
        say_table(("column", "value"), list(_texts(one.row)[0].items()))
    if not found:
        raise UsageError(f"no row has the key {', '.join(key)}", hint="workbench archive search finds rows by words")


@command(archive)
@click.argument("policy")
@click.argument("words")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="Rows at most.")
@shelf_option
def search(policy: str, words: str, limit: int, shelf: str | None, as_json: bool) -> None:
    """Archived rows in which all the words stand, in the columns the policy names under `search`."""
    from data_workbench.archive.finding import opened

    with archiver(Session(), shelf) as able, opened(able, policy) as finder:
        found = finder.search(words, limit=limit)
    if as_json:
        say_json({"rows": [_row(one) for one in found]})
        return
    rows = [_texts(one.row)[0] for one in found]
    # Archives of before and after a change have other columns.
    names = list(dict.fromkeys(name for row in rows for name in row))
    say_table(("archive", *names), [(one.archive, *map(row.get, names)) for one, row in zip(found, rows, strict=True)])


@command(archive)
@click.argument("policy")
@click.argument("text", metavar="SQL")
@click.option("--partition", help="Only archives of this partition, such as 2024-03.")
@click.option("--with-live", is_flag=True, help="The rows of the table, too: both as one.")
@shelf_option
def query(policy: str, text: str, partition: str | None, with_live: bool, shelf: str | None, as_json: bool) -> None:
    """Ask the archived rows in DuckDB's SQL, as a table of the name it has in PostgreSQL."""
    from data_workbench.archive.finding import opened

    with archiver(Session(), shelf) as able, opened(able, policy) as finder:
        found = finder.query(text, partition=partition, with_live=with_live)
    if as_json:
        say_json({"columns": found.column_names, "rows": _texts(found)})
        return
    say_table(tuple(found.column_names), [tuple(row.values()) for row in _texts(found)])


def _row(found: Found) -> dict[str, Any]:
    return {"archive": found.archive, "row": _texts(found.row)[0]}


def _texts(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows with their values as canonical text, which every type has."""
    from data_workbench.mapping.text_values import to_text

    columns = [to_text(column).to_pylist() for column in rows.columns]
    return [dict(zip(rows.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


@command(archive)
@click.argument("policy")
@click.option("--key", "keys", multiple=True, metavar="VALUE[,VALUE]", help="Only the row with this key; repeatable.")
@click.option("--archive", "names", multiple=True, metavar="ARCHIVE", help="Only rows of this archive; repeatable.")
@click.option("--partition", help="Only rows of this partition, such as 2024-03.")
@click.option("--since", callback=moment, metavar="TIME", help="Only rows of this time or later, by their age.")
@click.option("--until", callback=moment, metavar="TIME", help="Only rows of before this time.")
@click.option("--all", "everything", is_flag=True, help="All rows of the policy.")
@click.option("--overwrite", is_flag=True, help="Replace rows of the table that have the key and other values.")
@click.option("--rename", "renamed", multiple=True, metavar="OLD=NEW", help="A column's name then, and that of today.")
@click.option("--without", multiple=True, metavar="COLUMN", help="Leave a column's values in the archive.")
@click.option("--dry-run", is_flag=True, help="Tell how many rows would come back; change nothing.")
@shelf_option
def restore(
    policy: str,
    keys: tuple[str, ...],
    names: tuple[str, ...],
    partition: str | None,
    since: datetime | None,
    until: datetime | None,
    everything: bool,
    overwrite: bool,
    renamed: tuple[str, ...],
    without: tuple[str, ...],
    dry_run: bool,
    shelf: str | None,
    as_json: bool,
) -> None:
    """Bring archived rows back into their table: one, a range, or all; equal, and once."""
    from data_workbench.archive.finding import archives_of
    from data_workbench.archive.restoring import Order, Restored, Selection
    from data_workbench.archive.restoring import restore as bring_back
    from data_workbench.audit import recorded
    from data_workbench.pipelines.archive_lineage import told as lineage

    if not (keys or names or partition or since or until or everything):
        raise UsageError("nothing was said to be restored", hint="--key, --archive, --partition, --since, or --all")
    selection = Selection(names, partition, keys, since, until)
    order = Order(selection, overwrite, dry_run, without, tuple(read_pairs(renamed, option="--rename").items()))
    asked = {"keys": len(keys), "archives": names, "partition": partition, "since": since, "until": until,
             "all": everything, "overwrite": overwrite}  # fmt: skip
    with archiver(Session(), shelf) as able, shown(as_json=as_json):
        if dry_run:
            done: Restored = bring_back(able, policy, order)
        else:
            newest = archives_of(able.metastore, able.shelf, policy)[-1]
            with (
                recorded(able.metastore, "archive.restore", policy, details=asked) as told,
                lineage(able, "restore", policy, connection=newest.connection, stream=newest.dataset) as moved,
            ):
                done = bring_back(able, policy, order)
                moved.rows = done.rows
                told |= asdict(done)
    if as_json:
        say_json({**asdict(done), "dry_run": dry_run})
        return
    verb = "would come back" if dry_run else "came back"
    click.echo(f"{done.rows:,} rows {verb} from {len(done.archives)} archives")
    for table, rows in done.along.items():
        click.echo(f"of these {rows:,} rows of {table}")
    for count, text in (
        (done.waiting, "rows wait in their archives for a row they refer to"),
        (done.present, "were in the table already"),
        (done.overwritten, "replaced other values"),
        (done.left, "had left their archive before"),
        (done.beside.nodes, "nodes were made again"),
        (done.beside.relationships, "relationships were joined again"),
        (done.beside.waiting, "relationships wait for a node at their other end"),
        (done.beside.points, "points were made again"),
    ):
        if count:
            click.echo(f"{count:,} {text}")
