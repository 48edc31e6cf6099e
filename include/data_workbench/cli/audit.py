"""`audit`: who did what, when and why; whether the trail is whole, signed heads, exports, retention."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.audit import Heads, Keys, Report
    from data_workbench.metastore.audit import Entry

path_type = click.Path(dir_okay=False, path_type=Path)
heads_option = click.option("--head", type=path_type, help="File of signed heads; WORKBENCH_AUDIT_HEADS without it.")
key_option = click.option("--key", type=path_type, help="File of the public key, where the pair is not at hand.")


@root.group()
def audit() -> None:
    """The audit trail: who did what, when and why, in a chain that shows every change."""


@command(audit, name="list")
@click.option("--since", metavar="TIME", help="From this moment on, such as 2026-11-23 or 2026-11-23T10:15:00Z.")
@click.option("--action", help="Only this action, or all that begin so: run.begun, run.")
@click.option("--object", "subject", help="Only what was done to this, such as a pipeline.")
@click.option("--until", metavar="TIME", help="Before this moment.")
@click.option("--actor", help="Only what this user did.")
@click.option("--origin", help="Only what came from cli, airflow, rest, ui or airflow_log.")
@click.option("--run", "run_id", help="Only what belongs to this run.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
def list_(*, since: str | None, until: str | None, limit: int, as_json: bool, **wanted: Any) -> None:
    """Entries, newest first."""
    from data_workbench.metastore.audit import Search, list_entries

    first = _moment("--since", since) if since else None
    last = _moment("--until", until) if until else None
    search = replace(Search(first, last, object=wanted.pop("subject")), **wanted)
    with Session().metastore as store:
        found = list_entries(store, search, limit=limit)
    if as_json:
        say_json({"entries": [entry.told() for entry in found]})
        return
    say_table(
        ("entry", "when", "who", "from", "what", "to what", "why", "details"),
        [
            (str(one.sequence), f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor, one.origin, one.action, one.object,
             one.reason or "", one.details)
            for one in found
        ],
    )  # fmt: skip


@command(audit)
@heads_option
@key_option
@click.option("--file", "export", type=path_type, help="Check an exported file instead of the metastore.")
def verify(head: Path | None, key: Path | None, export: Path | None, as_json: bool) -> None:
    """Hash every entry again and follow every link; exit 1 and the entries concerned unless all is whole."""
    session = Session()
    heads, keys = _trusted(session, head, key)
    report = _verified(session, heads, keys, export)
    if as_json:
        say_json(report.as_dict())
    else:
        _say_report(report)
    if not report.clean:
        sys.exit(1)


def _trusted(
    session: Session, head: Path | None, key: Path | None, *, makes: bool = False
) -> tuple[Heads, Keys | None]:
    """The heads to hold the trail to, and whose signature they must have."""
    from data_workbench.audit import Heads, open_keys

    heads = Heads.of(session.settings, head)
    if head is not None and not makes and not head.is_file():
        raise UsageError(f"there is no file of heads {head}", hint="`workbench audit head` writes one")
    keys = open_keys(session.settings, public=key, makes=makes)
    if keys is None and heads.read():
        raise UsageError(
            f"there is no key to check the heads of {heads.place} by",
            hint="give the public key: --key audit-key.pem.pub, or set WORKBENCH_AUDIT_KEY",
        )
    return heads, keys


@contextmanager
def _entries(session: Session, export: Path | None) -> Iterator[Iterator[Entry]]:
    from data_workbench.audit import read_export
    from data_workbench.metastore.audit import entries

    if export is not None:
        yield read_export(export)
        return
    with session.metastore as store, entries(store) as found:
        yield found


def _verified(session: Session, heads: Heads, keys: Keys | None, export: Path | None = None) -> Report:
    from data_workbench.audit import verify as check

    with _entries(session, export) as found:
        return check(found, heads=heads.read(), keys=keys)


def _say_report(report: Report) -> None:
    told = f"{report.entries:,} entries, {report.first or '–'} to {report.last or '–'}"
    click.echo(f"{told}: {'whole' if report.clean else 'NOT whole'}")
    if report.sealed_through:
        click.echo(f"entries up to {report.sealed_through} were exported and sealed")
    for problem in report.problems:
        click.echo(f"  entry {problem.sequence} {problem.kind}: {problem.message}")
    if report.problems_left_out:
        click.echo(f"  and {report.problems_left_out} more")
    click.echo(
        f"held to {report.heads} signed head{'s' if report.heads != 1 else ''}"
        if report.heads
        else "no signed head: whether the newest entries were removed cannot be told (workbench audit head)"
    )


@command(audit)
@heads_option
def head(head: Path | None, as_json: bool) -> None:
    """Sign what is the newest entry now, and keep that outside the database; the trail is verified first."""
    from data_workbench.audit import sign_newest

    session = Session()
    heads, keys = _trusted(session, head, None, makes=True)
    assert keys is not None
    with session.metastore as store:
        made = sign_newest(store, heads=heads, keys=keys)
    heads.add(made)
    if as_json:
        say_json({**made.as_dict(), "file": str(heads.place)})
    else:
        click.echo(f"entry {made.sequence} is signed in {heads.place}: copy it to where nobody who writes here can")


@command(audit)
@click.argument("file", type=path_type)
@heads_option
def export(file: Path, head: Path | None, as_json: bool) -> None:
    """Write all entries to a new FILE as JSON lines, and their signed head to FILE.head."""
    from data_workbench.audit import export_signed

    session = Session()
    heads, keys = _trusted(session, head, None, makes=True)
    assert keys is not None
    with session.metastore as store:
        done = export_signed(store, file, heads=heads, keys=keys)
    if as_json:
        say_json(vars(done))
    else:
        click.echo(f"{done.entries:,} entries in {done.file}, their head in {done.head}")


@command(audit)
@click.option("--before", required=True, metavar="TIME", help="Entries older than this, such as 2025-11-23.")
@click.option("--to", "to", required=True, type=path_type, help="A new file that the removed entries go to.")
@heads_option
def seal(before: str, to: Path, head: Path | None, as_json: bool) -> None:
    """Retention: export old entries to a file, remove them, and leave a signed entry that vouches for them."""
    from data_workbench.audit import seal_before

    session = Session()
    moment = _moment("--before", before)
    heads, keys = _trusted(session, head, None, makes=True)
    assert keys is not None
    with session.metastore as store:
        sealed = seal_before(store, moment, to, keys=keys, heads=heads.read())
    if as_json:
        say_json(vars(sealed))
    else:
        click.echo(f"entries {sealed.first} to {sealed.through} are in {sealed.file} and no longer in the metastore")


def _moment(option: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is no moment", hint="write it as 2026-11-23T10:15:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
