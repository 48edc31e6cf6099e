"""`lint`, `plan`, `run`, `runs`, `reconcile`, `quarantine`: the verbs of a pipeline."""

from __future__ import annotations

import getpass
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli import tables
from data_workbench.cli.answer import command, fail, read_pairs, say_error, say_json, say_table
from data_workbench.cli.progress import shown
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.cli.tracing import traced
from data_workbench.errors import ReconciliationFailed, UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.audit import Author
    from data_workbench.pipelines.run import Runner

STATES = ("open", "resolved", "replayed", "superseded", "discarded")

params_option = click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A param of the pipeline.")


def _effects(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Names of effects, given one by one or with commas between, in one order."""
    from data_workbench.pipelines.effects import ALL, EFFECTS

    names = {name.strip() for one in given for name in one.split(",")}
    unknown = sorted(names - {*EFFECTS, ALL})
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(EFFECTS)}, {ALL}")
    return tuple(sorted(names))


def find_definition(session: Session, name: str) -> Path:
    """The file of a pipeline given by path or by name."""
    path = Path(name)
    if path.is_file():
        return path
    for suffix in (".yaml", ".yml"):
        found = session.settings.pipelines / f"{name}{suffix}"
        if "/" not in name and found.is_file():
            return found
    from data_workbench.language.rule_files import is_pipeline_file

    known = sorted(file.stem for file in session.settings.pipelines.glob("*") if is_pipeline_file(file))
    hint = f"pipelines in {session.settings.pipelines}: {', '.join(known)}" if known else "give the path of a YAML file"
    raise UsageError(f"no pipeline file {name!r}", hint=hint)


def load(session: Session, name: str) -> Definition:
    """A definition without mistakes. Raises DefinitionError with all of them."""
    from data_workbench.records.arrow import prepare_process

    prepare_process()
    from data_workbench.pipelines.checks import load_checked

    return load_checked(find_definition(session, name), settings=session.settings)


@contextmanager
def runner(session: Session) -> Iterator[Runner]:
    """A runner on the session's stores."""
    from data_workbench.pipelines.run import Runner

    with session.metastore as metastore:
        engine = Runner(settings=session.settings, connections=session.connections, metastore=metastore)
        try:
            yield engine
        finally:
            engine.deliver_lineage()


@command(root)
@click.argument("paths", nargs=-1, required=True)
def lint(paths: tuple[str, ...], as_json: bool) -> None:
    """Check files of pipelines, contracts, policies and watches, or folders; no server or data file is needed."""
    from data_workbench.records.arrow import prepare_process

    prepare_process()
    from data_workbench.language.kinds import kind_of
    from data_workbench.pipelines.checks import files_of, lint_paths

    session = Session()
    found = [find_definition(session, path) if not Path(path).exists() else Path(path) for path in paths]
    findings, definitions = lint_paths(found, settings=session.settings)
    if as_json:
        say_json({"findings": [vars(finding) for finding in findings]})
    for finding in findings:
        click.echo(str(finding), err=True)
    if findings:
        sys.exit(2)
    if not as_json:
        kinds = Counter(kind_of(one) for one in {file.resolve() for path in found for file in files_of(Path(path))})
        counts = {
            "pipeline": (len(definitions), "pipelines"),
            "contract": (kinds["contract"], "contracts"),
            "policy": (kinds["policy"], "policies"),
            "list of watches": (kinds["watches"], "lists of watches"),
        }
        told = [f"{count} {one if count == 1 else many}" for one, (count, many) in counts.items() if count]
        told = told or ["0 pipelines"]
        click.echo(f"{' and '.join(told)} without mistakes")


@command(root)
@click.argument("pipeline")
@params_option
def plan(pipeline: str, params: tuple[str, ...], as_json: bool) -> None:
    """What a run would read and write, and what it would change; works with a store away."""
    from data_workbench.pipelines.explain import explain

    session = Session()
    definition = load(session, pipeline)
    values = read_pairs(params)
    with _metastore_if_there(session) as metastore:
        document = explain(definition, values, session.settings, session.connections, metastore)
    if as_json:
        say_json(document)
    else:
        tables.say_plan(document)


def _metastore_if_there(session: Session) -> AbstractContextManager[Metastore | None]:
    try:
        return session.metastore
    except WorkbenchError as error:
        click.echo(f"without the metastore ({error.message}): what was read before is not known", err=True)
        return nullcontext()


@command(root)
@click.argument("pipeline")
@params_option
@click.option("--full-refresh", is_flag=True, help="Read everything again and delete what is no longer there.")
@click.option("--reset-state", is_flag=True, help="Forget cursors, overlap and deferred rows first.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows of each source; no state moves.")
@click.option("--dry-run", is_flag=True, help="A sample through all stages; nothing is written.")
@click.option(
    "--allow",
    multiple=True,
    callback=_effects,
    metavar="EFFECT",
    help="Let the run destroy: replace, columns, key, model, or all; `plan` names which.",
)
@click.option("--requested-by", help="Who asked for this run.")
@click.option("--correlation-id", help="The caller's own id for this run.")
def run(pipeline: str, params: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Run a pipeline; one that was killed goes on where it stopped."""
    from data_workbench.pipelines.options import RunOptions

    session = Session()
    who = {name: options.pop(name) for name in ("requested_by", "correlation_id")}
    chosen = RunOptions(**options)
    definition = load(session, pipeline)
    values = read_pairs(params)
    with traced(), runner(session) as engine, shown(as_json=as_json):
        document, error = engine.run(definition, params=values, options=chosen, **who)
    if as_json:
        say_json({**document, "error": error.as_dict()} if error else document)
    else:
        tables.say_run(document)
    if error:
        say_error(error)
        sys.exit(error.exit_code)


@command(root)
@click.argument("pipeline", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--watch", is_flag=True, help="Renew what is shown every two seconds, until interrupted.")
def runs(pipeline: str | None, limit: int, watch: bool, as_json: bool) -> None:
    """Runs, newest first, with a bar for each stage under way."""
    from data_workbench.cli import run_list
    from data_workbench.pipelines.upkeep import Upkeep

    if watch and as_json:
        raise click.UsageError("--watch is for people: ask again for one JSON document")
    with runner(Session()) as engine:
        upkeep = Upkeep(engine)
        if watch:
            run_list.watch(lambda: upkeep.list_runs(pipeline, limit))
            return
        rows = upkeep.list_runs(pipeline, limit)
    if as_json:
        say_json({"runs": rows})
    else:
        run_list.say(rows)


@command(root)
@click.argument("pipeline")
@params_option
@click.option("--repair", is_flag=True, help="Write what is missing or stale.")
@click.option("--delete", is_flag=True, help="Delete what the pipeline owns and the source no longer has.")
@click.option("--force", is_flag=True, help="Delete even more than 5 %.")
def reconcile(pipeline: str, params: tuple[str, ...], as_json: bool, repair: bool, delete: bool, force: bool) -> None:
    """Compare all stores with the source in full; a dry run unless told to repair."""
    from data_workbench.pipelines.reconcile import Remedy

    session = Session()
    definition = load(session, pipeline)
    from data_workbench.pipelines.upkeep import Upkeep

    with runner(session) as engine, shown(as_json=as_json):
        document = Upkeep(engine).reconcile_in_full(
            definition, params=read_pairs(params), remedy=Remedy(repair=repair, delete=delete, force=force)
        )
    if as_json:
        say_json(document)
    else:
        tables.say_reconciliation(document)
    if not document["clean"]:
        sys.exit(1)


@root.group()
def quarantine() -> None:
    """Rows that broke a rule: look at them, replay them."""


unmasked_option = click.option(
    "--unmasked", is_flag=True, help="Show classified values, too; the audit trail tells who was shown them."
)


def _seen_by(*, unmasked: bool) -> Author | None:
    from data_workbench.metastore.audit import Author

    return Author.of_process() if unmasked else None


@command(quarantine, "list")
@click.argument("pipeline", required=False)
@click.option(
    "--state", type=click.Choice(["open", "resolved", "replayed", "superseded", "discarded", "all"]), default="open"
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@unmasked_option
def list_(pipeline: str | None, state: str, limit: int, unmasked: bool, as_json: bool) -> None:
    """Quarantined rows, newest first."""
    from data_workbench.pipelines.upkeep import Upkeep

    with runner(Session()) as engine:
        records = Upkeep(engine).list_quarantine(
            pipeline, state=None if state == "all" else state, limit=limit, seen_by=_seen_by(unmasked=unmasked)
        )
    if as_json:
        say_json({"records": records})
        return
    say_table(
        ("id", "pipeline", "at", "key", "rules", "reason"),
        [[str(r["id"]), r["pipeline"], r["node"], str(r["key"]), ", ".join(r["rules"]), r["reason"]] for r in records],
    )


@command(quarantine)
@click.argument("record", type=int)
@unmasked_option
def show(record: int, unmasked: bool, as_json: bool) -> None:
    """One quarantined row, with all that is known of it."""
    from data_workbench.pipelines.upkeep import Upkeep

    with runner(Session()) as engine:
        found = Upkeep(engine).show_quarantine(record, seen_by=_seen_by(unmasked=unmasked))
    if as_json:
        say_json({"records": [found]})
        return
    for name, value in found.items():
        click.echo(f"{name:>10}: {value}")


@command(quarantine)
@click.argument("pipeline")
@click.argument("records", nargs=-1, type=int)
@params_option
def replay(pipeline: str, records: Sequence[int], params: tuple[str, ...], as_json: bool) -> None:
    """Read rows again from their source and run them through the pipeline as it is now; all open ones by default."""
    from data_workbench.pipelines.upkeep import Upkeep

    session = Session()
    definition = load(session, pipeline)
    with traced(), runner(session) as engine, shown(as_json=as_json):
        document, error = Upkeep(engine).replay(definition, list(records), params=read_pairs(params))
    if error and not document:
        fail(error, as_json=as_json)
    if as_json:
        say_json({**document, "error": error.as_dict()} if error else document)
    else:
        tables.say_run(document)
    if error:
        say_error(error)
        sys.exit(error.exit_code if isinstance(error, ReconciliationFailed) else 1)


@command(quarantine)
@click.argument("record", type=int)
@click.option("--set", "values", multiple=True, metavar="COLUMN=VALUE", help="A corrected value.")
@click.option("--null", "nulls", multiple=True, metavar="COLUMN", help="A column to empty.")
def edit(record: int, values: tuple[str, ...], nulls: tuple[str, ...], as_json: bool) -> None:
    """Correct an open row; it stays on record as it was, and `replay` uses what is given here."""
    from data_workbench.pipelines.upkeep import Upkeep

    given: dict[str, str | None] = {**read_pairs(values, option="--set"), **dict.fromkeys(nulls)}
    if not given:
        raise click.UsageError("nothing to change: give --set COLUMN=VALUE or --null COLUMN")
    with runner(Session()) as engine:
        found = Upkeep(engine).edit_quarantine(record, given, by=getpass.getuser())
    if as_json:
        say_json({"records": [found]})
    else:
        click.echo(f"record {record} is replayed with {', '.join(given)} as given; `workbench quarantine replay` it")


@command(quarantine)
@click.argument("records", nargs=-1, type=int, required=True)
def discard(records: Sequence[int], as_json: bool) -> None:
    """Close rows that nobody will mend; they stay on record as discarded."""
    from data_workbench.pipelines.upkeep import Upkeep

    with runner(Session()) as engine:
        closed = Upkeep(engine).discard_quarantine(list(records), by=getpass.getuser())
    if as_json:
        say_json({"discarded": closed})
    else:
        click.echo(f"{closed} of {len(records)} discarded; the others were not open")
